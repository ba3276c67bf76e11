// The cards of latents: what is dragged, ablated or opened is told.
const tell = (input) => {
  const card = input.closest(".latent");
  const value = Number(input.value);
  card.style.setProperty("--share", `${50 + (50 * value) / input.max}%`);
  card.classList.toggle("active", value !== 0);
  card.classList.add("clamped");
  card.querySelector("output").textContent = Number(value.toPrecision(3)).toString();
  trigger("input", { dimension: Number(input.dataset.dim), value });
};

element.addEventListener("input", ({ target }) => tell(target));
element.addEventListener("click", ({ target }) => {
  const button = target.closest("button");
  if (button?.dataset.open) trigger("select", { index: Number(button.dataset.open) });
  if (button?.dataset.ablate) {
    const input = button.closest(".latent").querySelector("input");
    input.value = 0;
    tell(input);
  }
});
