"use strict";
// The map: a point for each living latent, on a canvas that zooms, moves and is clicked.
(() => {
  const { element, make, percent } = gallery;
  const canvas = element("plane");
  const context = canvas.getContext("2d");
  let [zoom, left, top] = [1, 0, 0]; // of the map's unit square: what is seen, and from where
  let [points, pointed, moved] = [null, null, 0];
  const pointers = new Map();

  const side = () => Math.min(canvas.clientWidth, canvas.clientHeight) * 0.92;
  const toX = (x) => canvas.clientWidth / 2 + (x - 0.5 - left) * zoom * side();
  const toY = (y) => canvas.clientHeight / 2 + (y - 0.5 - top) * zoom * side();

  function circle({ x, y }, radius) {
    context.beginPath();
    context.arc(toX(x), toY(y), radius, 0, 2 * Math.PI);
  }

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
      circle(point, radius);
      context.fill();
    }
    if (pointed) {
      context.globalAlpha = 1;
      context.strokeStyle = getComputedStyle(canvas).color;
      context.lineWidth = 2;
      circle(pointed, radius + 3);
      context.stroke();
    }
  }

  function point(to) {
    if (to === pointed) return;
    pointed = to;
    const share = to && percent(gallery.summary.columns.frequency[to.d]);
    const said = to ? [gallery.picture(to.d, 56) ?? "", make("div", {}, `latent ${to.d}, in ${share}`)] : [];
    element("pointed").replaceChildren(...said);
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
    if (zoom > 1.2) [left, top] = [next.x - 0.5, next.y - 0.5];
    if (next !== from) point(next);
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
    const other = [...pointers].find(([id]) => id !== event.pointerId);
    if (other) {
      const [ox, oy] = other[1];
      zoomBy(Math.hypot(x - ox, y - oy) / Math.max(Math.hypot(before[0] - ox, before[1] - oy), 1), ox, oy);
    } else {
      left -= (x - before[0]) / (zoom * side());
      top -= (y - before[1]) / (zoom * side());
      moved += Math.hypot(x - before[0], y - before[1]);
      draw();
    }
    pointers.set(event.pointerId, [x, y]);
  });
  canvas.addEventListener("pointercancel", ({ pointerId }) => pointers.delete(pointerId));
  canvas.addEventListener("pointerup", (event) => {
    pointers.delete(event.pointerId);
    const found = moved < 4 && nearest(...at(event), 12);
    if (found) location.hash = `#latent=${found.d}`;
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY / 400), ...at(event));
  }, { passive: false });
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const FACTORS = { "+": 1.5, "=": 1.5, "-": 1 / 1.5 };
  canvas.addEventListener("keydown", (event) => {
    if (event.key in ARROWS) step(ARROWS[event.key]);
    else if (event.key in FACTORS) zoomBy(FACTORS[event.key]);
    else if (event.key === "Enter" && pointed) location.hash = `#latent=${pointed.d}`;
    else return;
    event.preventDefault();
  });
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => zoomBy(Number(button.dataset.zoom)));
  }

  const again = () => points && draw();
  window.addEventListener("resize", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  gallery.views.map = () => {
    const { latent, x, y } = gallery.summary.map;
    points ??= latent.map((d, i) => ({ d, x: x[i], y: y[i] }));
    for (const each of points) each.hue = colours.hue(each.d);
    colours.explain();
    draw();
  };
  element("colour").addEventListener("change", gallery.views.map);
})();
