"use strict";
// Pictures out of sheets, and small charts in SVG.
const drawing = (() => {
  const SPACE = "http://www.w3.org/2000/svg";
  const [WIDTH, HEIGHT, LEFT, BOTTOM] = [520, 150, 8, 20];

  // The picture of that number in the sheets of that name, `size` pixels high or wide.
  function tile(sheet, name, number, size, text, file = Math.floor(number / sheet.per), at = number % sheet.per) {
    const scale = size / Math.max(sheet.height, sheet.width);
    const [width, height] = [sheet.width * scale, sheet.height * scale];
    const column = at % sheet.columns;
    const row = Math.floor(at / sheet.columns);
    const shown = gallery.make("span", text ? { class: "tile", role: "img", "aria-label": text } : { class: "tile" });
    Object.assign(shown.style, {
      width: `${width}px`,
      height: `${height}px`,
      backgroundImage: `url("pictures/${name}-${String(file).padStart(3, "0")}.webp")`,
      backgroundSize: `${sheet.columns * width}px auto`,
      backgroundPosition: `${-column * width}px ${-row * height}px`,
    });
    return shown;
  }

  function svg(tag, attributes, ...children) {
    const made = document.createElementNS(SPACE, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  const text = (x, y, anchor, content) => svg("text", { x, y, "text-anchor": anchor }, content);

  function chart(label, ...children) {
    return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label }, ...children);
  }

  // Counts of the values before the mask, on a square-root scale, with the threshold.
  function histogram({ edges: [low, high], counts, threshold }) {
    const span = high - low;
    const x = (value) => LEFT + ((WIDTH - 2 * LEFT) * (value - low)) / span;
    const largest = Math.sqrt(Math.max(...counts));
    const step = span / counts.length;
    const parts = counts.map((count, i) => {
      const height = ((HEIGHT - BOTTOM - 16) * Math.sqrt(count)) / largest;
      const [from, to] = [low + i * step, low + (i + 1) * step];
      const isUnder = threshold !== undefined && Math.max(-from, to) <= threshold;
      const bar = svg("rect", {
        x: x(from) + 0.5, y: HEIGHT - BOTTOM - height, width: Math.max(x(to) - x(from) - 1, 1), height,
        class: isUnder ? "under" : "",
      });
      bar.append(svg("title", {}, `${gallery.format(from)} to ${gallery.format(to)}: ${count}`));
      return bar;
    });
    const levels = threshold === undefined ? [] : [threshold, -threshold].filter((x) => x >= low && x <= high);
    parts.push(...levels.map((level) => svg("line", { x1: x(level), x2: x(level), y1: 12, y2: HEIGHT - BOTTOM })));
    if (levels.length) {
      const middle = Math.min(Math.max(x(levels[0]), 50), WIDTH - 60);
      parts.push(text(middle, 10, "middle", `threshold ${gallery.format(threshold)}`));
    }
    parts.push(text(LEFT, HEIGHT - 5, "start", gallery.format(low)));
    parts.push(text(WIDTH - LEFT, HEIGHT - 5, "end", gallery.format(high)));
    return chart(`Histogram of values from ${gallery.format(low)} to ${gallery.format(high)}`, ...parts);
  }

  // Values over steps.
  function line(steps, values) {
    const largest = Math.max(...values, 0) || 1;
    const x = (step) => LEFT + ((WIDTH - 2 * LEFT) * step) / steps[steps.length - 1];
    const y = (value) => 14 + (HEIGHT - BOTTOM - 16) * (1 - value / largest);
    return chart(
      `From ${gallery.format(values[0])} to ${gallery.format(values[values.length - 1])}`,
      svg("polyline", { points: values.map((value, i) => `${x(steps[i])},${y(value)}`).join(" ") }),
      text(LEFT, 11, "start", gallery.format(largest)),
      text(WIDTH - LEFT, HEIGHT - 5, "end", `step ${steps[steps.length - 1].toLocaleString("en")}`),
    );
  }

  // Shares as bars: [name, share] each.
  function bars(shares) {
    const largest = Math.max(...shares.map(([, share]) => share), 1e-12);
    return gallery.make("dl", { class: "bars" }, ...shares.flatMap(([name, share]) => {
      const bar = gallery.make("div", { class: "bar" });
      bar.style.width = `${(100 * share) / largest}%`;
      return [
        gallery.make("dt", {}, String(name)),
        gallery.make("dd", {}, bar),
        gallery.make("dd", {}, gallery.percent(share)),
      ];
    }));
  }

  return { tile, histogram, line, bars };
})();
