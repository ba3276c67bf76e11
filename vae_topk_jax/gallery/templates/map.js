"use strict";
// The map: a point for each living latent, on a canvas that zooms, moves and is clicked.
(() => {
  const { element, make, percent } = gallery;
  const canvas = element("plane");
  const context = canvas.getContext("2d");
  let [zoom, left, top] = [1, 0, 0]; // of the map's unit square: what is seen, and from where
  let [points, pointed, dragged, moved] = [null, null, null, 0];
  const pointers = new Map();

  const side = () => Math.min(canvas.clientWidth, canvas.clientHeight) * 0.92;
  const toX = (x) => canvas.clientWidth / 2 + (x - 0.5 - left) * zoom * side();
  const toY = (y) => canvas.clientHeight / 2 + (y - 0.5 - top) * zoom * side();

  const isByLabel = () => element("colour").value === "label";
  const labelHue = (label) => (360 * label) / (Math.max(...gallery.summary.label) + 1);
  const shareHue = (share) => 20 - 61 * Math.log10(Math.max(share, 1e-4));

  function draw() {
    const ratio = window.devicePixelRatio;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    context.scale(ratio, ratio);
    const dot = getComputedStyle(document.documentElement).getPropertyValue("--dot");
    const kept = new Set(gallery.order);
    const radius = Math.min(7, (points.length > 500 ? 2.5 : 4) * zoom ** 0.35);
    for (const point of points) {
      context.globalAlpha = kept.has(point.d) ? 0.9 : 0.12;
      context.fillStyle = `hsl(${point.hue} 70% ${dot})`;
      context.beginPath();
      context.arc(toX(point.x), toY(point.y), radius, 0, 2 * Math.PI);
      context.fill();
    }
    if (pointed) {
      context.globalAlpha = 1;
      context.strokeStyle = getComputedStyle(canvas).color;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(toX(pointed.x), toY(pointed.y), radius + 3, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  function point(to) {
    if (to === pointed) return;
    pointed = to;
    const said = to && [gallery.picture(to.d, 56) ?? "", make("div", {}, `latent ${to.d}, in ${percent(gallery.summary.columns.frequency[to.d])}`)];
    element("pointed").replaceChildren(...(said ?? []));
    draw();
  }

  function nearest(x, y, reach) {
    let [found, best] = [null, reach ** 2];
    for (const candidate of points) {
      const squared = (toX(candidate.x) - x) ** 2 + (toY(candidate.y) - y) ** 2;
      if (squared < best) [found, best] = [candidate, squared];
    }
    return found;
  }

  // Zooms so that what is under (x, y) stays there; by 0: back to the whole map.
  function zoomBy(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
    const after = factor ? Math.min(Math.max(zoom * factor, 0.8), 60) : 1;
    const moved = (1 / zoom - 1 / after) / side();
    left = factor ? left + (x - canvas.clientWidth / 2) * moved : 0;
    top = factor ? top + (y - canvas.clientHeight / 2) * moved : 0;
    zoom = after;
    draw();
  }

  // The nearest point in the direction of an arrow key.
  function step([dx, dy]) {
    const from = pointed ?? { x: 0.5, y: 0.5 };
    const cost = ({ x, y }) => {
      const [ahead, aside] = [(x - from.x) * dx + (y - from.y) * dy, (x - from.x) * dy - (y - from.y) * dx];
      return ahead > 1e-9 && Math.abs(aside) <= 2 * ahead ? ahead + 2 * Math.abs(aside) : Infinity;
    };
    const next = points.reduce((best, candidate) => (cost(candidate) < cost(best) ? candidate : best), from);
    if (next === from) return;
    if (zoom > 1.2) [left, top] = [next.x - 0.5, next.y - 0.5];
    point(next);
  }

  const at = ({ offsetX, offsetY }) => [offsetX, offsetY];
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    moved = pointers.size > 1 ? 99 : 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    const before = pointers.get(event.pointerId);
    if (!before) return point(nearest(x, y, 12));
    const others = [...pointers].filter(([id]) => id !== event.pointerId);
    if (others.length) {
      const [, [ox, oy]] = others[0];
      zoomBy(Math.hypot(x - ox, y - oy) / Math.max(Math.hypot(before[0] - ox, before[1] - oy), 1), ox, oy);
    } else {
      left -= (x - before[0]) / (zoom * side());
      top -= (y - before[1]) / (zoom * side());
      moved += Math.hypot(x - before[0], y - before[1]);
      draw();
    }
    pointers.set(event.pointerId, [x, y]);
  });
  for (const type of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(type, (event) => {
      pointers.delete(event.pointerId);
      const found = type === "pointerup" && moved < 4 && nearest(...at(event), 12);
      if (found) location.hash = `#latent=${found.d}`;
    });
  }
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY / 400), ...at(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const factor = { "+": 1.5, "=": 1.5, "-": 1 / 1.5 }[event.key];
    if (arrow) step(arrow);
    else if (factor) zoomBy(factor);
    else if (event.key === "Enter" && pointed) location.hash = `#latent=${pointed.d}`;
    else return;
    event.preventDefault();
  });
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => zoomBy(Number(button.dataset.zoom)));
  }

  function colour() {
    const { columns, label, map } = gallery.summary;
    for (const each of points) {
      each.hue = isByLabel() ? labelHue(label[each.d]) : shareHue(columns.frequency[each.d]);
    }
    const shown = isByLabel()
      ? [...new Set(map.latent.map((d) => label[d]))].sort((a, b) => a - b).slice(0, 20)
        .map((found) => [`label ${found}`, labelHue(found)])
      : [1e-4, 1e-3, 1e-2, 1e-1, 1].map((share) => [percent(share), shareHue(share)]);
    element("legend").replaceChildren(...shown.map(([name, degrees]) => {
      const mark = make("i", { "aria-hidden": "true" });
      mark.style.background = `hsl(${degrees} 70% var(--dot))`;
      return make("span", {}, mark, name);
    }));
    draw();
  }

  element("colour").addEventListener("change", colour);
  window.addEventListener("resize", () => points && draw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => points && draw());
  gallery.views.map = () => {
    const { map } = gallery.summary;
    points ??= map.latent.map((d, i) => ({ d, x: map.x[i], y: map.y[i] }));
    colour();
  };
})();
