// The canvas of a drawing: strokes of the pointer; what is drawn is told when the pointer is lifted.
const canvas = element.querySelector("canvas");
const context = canvas.getContext("2d");
context.lineWidth = canvas.width / 11;
context.lineCap = context.lineJoin = "round";
context.strokeStyle = "#fff";

const place = (event) => {
  const box = canvas.getBoundingClientRect();
  const scale = canvas.width / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
};

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  context.beginPath();
  context.moveTo(...place(event));
});
canvas.addEventListener("pointermove", (event) => {
  if (!event.buttons) return;
  context.lineTo(...place(event));
  context.stroke();
});
canvas.addEventListener("pointerup", () => trigger("change", { png: canvas.toDataURL() }));
element.querySelector("button").addEventListener("click", () => {
  context.clearRect(0, 0, canvas.width, canvas.height);
});
