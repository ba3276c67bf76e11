// A click on a picture enlarges it; a click anywhere, or Escape, closes it.
const dialog = document.querySelector("dialog");
const enlarged = dialog.querySelector("img");
for (const button of document.querySelectorAll("figure button")) {
  button.addEventListener("click", () => {
    const image = button.querySelector("img");
    enlarged.src = image.src;
    enlarged.alt = image.alt;
    dialog.className = button.className;
    dialog.showModal();
  });
}
dialog.addEventListener("click", () => dialog.close());
