"use strict";
// The data as their scripts hand them over, the views, and the list of all latents.
const gallery = (() => {
  const received = new Map();
  const waiting = new Map();
  const PAGE = 60;
  let shown = 0;
  let order = [];
  let summary;
  const views = {}; // name -> a function that fills the view, given the rest of the address

  const element = (id) => document.getElementById(id);

  function receive(name, value) {
    received.set(name, value);
    waiting.get(name)?.(value);
    if (name === "summary") start(value);
  }

  // A file of data; scripts are loaded as files at file:// may not be read.
  function load(name) {
    if (received.has(name)) return Promise.resolve(received.get(name));
    return new Promise((resolve, reject) => {
      waiting.set(name, resolve);
      const script = document.createElement("script");
      script.src = `data/${name}.js`;
      script.onerror = () => reject(new Error(`data/${name}.js is missing`));
      document.head.append(script);
    });
  }

  // An element with attributes and children; texts are never taken for HTML.
  function make(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {})) {
      if (value !== null && value !== undefined) made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }

  const format = (value) => Number(value.toPrecision(3)).toString();
  const percent = (share) => `${format(100 * share)} %`;
  const isDead = (d) => summary.columns.frequency[d] === 0;
  const isDense = (d) => summary.columns.frequency[d] > summary.dense;

  const named = {
    dead: isDead,
    dense: isDense,
    alive: (d) => !isDead(d),
    all: () => true,
  };

  // What one word of a search asks of a latent.
  function asked(word) {
    if (word in named) return named[word];
    const [, key, number] = word.match(/^(label|meta):(\d+)$/) ?? [];
    if (key === "label") return (d) => !isDead(d) && summary.label?.[d] === Number(number);
    if (key === "meta") return (d) => summary.meta?.[d].includes(Number(number));
    const [, from, to] = word.match(/^(\d+)(?:-(\d+))?$/) ?? [];
    if (from !== undefined) return (d) => d >= Number(from) && d <= Number(to ?? from);
    return (d) => summary.words?.[d].includes(word);
  }

  function limits() {
    return [...document.querySelectorAll(".limits input")]
      .filter((input) => input.value !== "" && Number.isFinite(input.valueAsNumber))
      .map(({ dataset, valueAsNumber }) => {
        const column = summary.columns[dataset.column];
        const sign = dataset.end === "from" ? 1 : -1;
        return (d) => sign * (column[d] - valueAsNumber) >= 0;
      });
  }

  function select() {
    const words = element("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const label = element("label")?.value ?? "";
    const conditions = [...words.map(asked), ...limits()];
    // what is asked for by number or by name is found whatever else is shown
    const state = words.some((word) => word in named || /^\d/.test(word)) ? "all" : null;
    conditions.push(named[state ?? element("state").value]);
    if (label !== "") conditions.push(asked(`label:${label}`));
    const column = summary.columns[element("sort").value] ?? null;
    const sign = Number(element("order").value);
    const key = (d) => (column === null ? d : column[d]);
    order = [...Array(summary.latents).keys()]
      .filter((d) => conditions.every((holds) => holds(d)))
      .sort((a, b) => sign * (key(a) - key(b)) || a - b);
    shown = 0;
    element("cards").replaceChildren();
    element("count").textContent =
      `${order.length.toLocaleString("en")} of ${summary.latents.toLocaleString("en")} latents`;
    more();
  }

  function more() {
    element("cards").append(...order.slice(shown, shown + PAGE).map(card));
    shown = Math.min(shown + PAGE, order.length);
    element("more").hidden = shown === order.length;
  }

  function badge(d) {
    if (isDead(d)) return make("span", { class: "badge" }, "dead");
    return isDense(d) ? make("span", { class: "badge" }, "dense") : null;
  }

  function card(d) {
    const sorted = element("sort").value;
    const lines = [`in ${percent(summary.columns.frequency[d])}`];
    if (summary.label && !isDead(d)) {
      lines.push(`label ${summary.label[d]}, ${percent(summary.columns.purity[d])}`);
    }
    if (sorted in summary.columns && !["frequency", "purity"].includes(sorted)) {
      lines.push(`${sorted} ${format(summary.columns[sorted][d])}`);
    }
    const link = make(
      "a",
      { class: "card", href: `#latent=${d}` },
      picture(d),
      make("b", {}, String(d)),
      ...lines.map((line) => make("span", {}, line)),
      badge(d),
    );
    return make("li", {}, link);
  }

  function picture(d, size = 56) {
    if (summary.card[d] < 0) return null;
    return drawing.tile(summary.sheets.cards, "cards", summary.card[d], size, "");
  }

  function show() {
    const [name, rest] = location.hash.slice(1).split("=");
    const view = name in views ? name : "list";
    for (const section of document.querySelectorAll("main > section")) {
      section.hidden = section.id !== view;
    }
    for (const link of document.querySelectorAll("nav a")) {
      const isHere = link.hash.slice(1) === (view === "list" ? "" : view);
      if (isHere) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    views[view]?.(rest);
    if (view !== "list") {
      window.scrollTo(0, 0);
      document.querySelector(`#${view} h2`).focus({ preventScroll: true });
    }
  }

  function start(value) {
    summary = value;
    select();
    for (const type of ["input", "change"]) {
      document.querySelector("form").addEventListener(type, select);
    }
    document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
    element("more").addEventListener("click", more);
    window.addEventListener("hashchange", show);
    show();
  }

  return {
    receive, load, make, element, format, percent, badge, picture, views, isDead,
    get summary() { return summary; },
    get order() { return order; },
  };
})();
