"use strict";
// The page of one latent.
(() => {
  const { make, format, percent, element } = gallery;
  const TITLES = {
    highest: "Highest",
    lowest: "Lowest",
    random: "At random",
    faintest: "Just above the threshold",
  };

  function section(title, ...children) {
    return make("section", {}, make("h3", {}, title), ...children);
  }

  function example([index, value, label, shown]) {
    const { summary } = gallery;
    const said = `input ${index}${label === null ? "" : `, label ${label}`}`;
    if (summary.words) {
      return make("li", { class: "text" }, make("small", {}, `${format(value)}, ${said}`), shown);
    }
    if (!summary.images) return make("li", { class: "text" }, make("small", {}, said), format(value));
    const picture = drawing.tile(summary.sheets.examples, "examples", shown, 72, `${said}, activation ${format(value)}`);
    picture.title = said;
    return make("li", {}, picture, make("div", {}, format(value)));
  }

  function examples({ examples: found, histogram }) {
    const titles = { ...TITLES, ...(histogram.threshold === undefined ? { faintest: "Weakest" } : {}) };
    return Object.entries(titles).filter(([choice]) => found[choice]).map(([choice, title]) =>
      section(title, make("ul", { class: "row" }, ...found[choice].map(example))));
  }

  function drawn(d) {
    const { summary } = gallery;
    const sheet = summary.sheets.along;
    if (!sheet || summary.card[d] < 0) return null;
    const file = Math.floor(d / summary.block);
    const row = summary.card.slice(file * summary.block, d).filter((number) => number >= 0).length;
    const [low, high] = [summary.range[0][d], summary.range[1][d]];
    const tile = (column, text) => drawing.tile(sheet, "along", 0, 72, text, file, row * sheet.columns + column);
    const rows = summary.bases.map((base, z) => {
      const steps = [...Array(summary.steps).keys()].map((s) => {
        const value = low + ((high - low) * s) / (summary.steps - 1);
        const said = `input ${base} with the latent at ${format(value)}`;
        return make("li", {}, tile(1 + z * summary.steps + s, said), z ? "" : make("div", {}, format(value)));
      });
      return make("ul", { class: "strip", "aria-label": `along its range on input ${base}` }, ...steps);
    });
    return section(
      "What the decoder draws",
      make("p", {}, "Alone, and how that differs from nothing; then three inputs with the latent moved along its range."),
      make("ul", { class: "row" },
        make("li", {}, tile(0, "the latent alone"), make("div", {}, "alone")),
        make("li", {}, gallery.picture(d, 72), make("div", {}, "change"))),
      make("div", {}, ...rows),
    );
  }

  function latentLink(d, note) {
    const link = make("a", { class: "card", href: `#latent=${d}` }, gallery.picture(d, 48), make("b", {}, String(d)), make("span", {}, note));
    return make("li", {}, link);
  }

  function neighbours(title, said, pairs, write) {
    if (!pairs?.length) return null;
    return section(title, make("p", {}, said), make("ul", { class: "cards" }, ...pairs.map(([d, value]) => latentLink(d, write(value)))));
  }

  function partners(record) {
    const { partner, stitch } = record;
    if (!partner) return null;
    const [theirs, cosine] = partner;
    const lines = [theirs === null
      ? `Only here: the nearest direction of the other model has |cosine| ${format(cosine)}.`
      : `Latent ${theirs} of the other model, |cosine| ${format(cosine)}.`];
    if (stitch?.kind === "insert") lines.push("Stitching: a novel latent, which is inserted.");
    if (stitch?.kind === "swap") {
      const list = (numbers) => numbers.slice(0, 24).join(", ") + (numbers.length > 24 ? " ..." : "");
      lines.push(`Stitching: ${list(stitch.added)} of this one come in for ${list(stitch.removed)} of the other one.`);
    }
    return section("In the other model", ...lines.map((line) => make("p", {}, line)));
  }

  function meta(record) {
    if (!record.meta) return null;
    const lines = record.meta.map(([number, value, siblings]) => {
      const links = siblings.flatMap((d) => [" ", make("a", { href: `#latent=${d}` }, String(d))]);
      return make("p", {}, `Meta-latent ${number}, ${format(value)}; also in`, ...(links.length ? links : [" no other"]));
    });
    return section("Meta-latents of its direction", ...(lines.length ? lines : [make("p", {}, "None is active.")]));
  }

  function facts(d) {
    const { columns } = gallery.summary;
    return make("dl", { class: "facts" }, ...Object.entries(columns).map(([name, values]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, name === "frequency" || name === "purity" ? percent(values[d]) : format(values[d])))));
  }

  function steps(d) {
    const { order } = gallery;
    const at = order.indexOf(d);
    const link = (text, target, key) => target === undefined ? null : make("a", { href: `#latent=${target}`, rel: key }, text);
    return make("div", { class: "steps" },
      make("a", { href: "#" }, "All latents"),
      at < 0 ? null : link("Previous", order[at - 1], "prev"),
      at < 0 ? null : link("Next", order[at + 1], "next"));
  }

  function page(d, record) {
    const { summary } = gallery;
    const components = record.components?.map(([at, value]) => make("li", { class: "text" }, make("small", {}, `value ${at}`), format(value)));
    const children = [
      record.examples
        ? make("div", { class: "columns" }, ...examples(record))
        : make("p", {}, "No input activates this latent."),
      drawn(d),
      components ? section("Largest values of its direction", make("ul", { class: "row" }, ...components)) : null,
      make("div", { class: "columns" },
        record.histogram ? section("Values before the mask", make("p", {}, "Other than zero; heights are square roots of counts."), drawing.histogram(record.histogram)) : null,
        record.labels ? section("How many inputs of a label activate it", drawing.bars(record.labels)) : null,
        record.history ? section("Importance over training", drawing.line(summary.history, record.history)) : null),
      partners(record),
      meta(record),
      neighbours("Nearest directions", "By the cosine of the decoder's directions.", record.near, format),
      neighbours("Active together", "Of the inputs that activate either, those that activate both.", record.together, percent),
    ];
    element("page").replaceChildren(steps(d), facts(d), ...children.filter(Boolean));
  }

  gallery.views.latent = async (rest) => {
    const d = Number(rest);
    const { summary } = gallery;
    const heading = document.querySelector("#latent h2");
    if (!/^\d+$/.test(rest ?? "") || d >= summary.latents) {
      heading.textContent = "No such latent";
      element("page").replaceChildren(steps(-1));
      return;
    }
    heading.replaceChildren(`Latent ${d} `, gallery.badge(d) ?? "");
    const name = `records-${String(Math.floor(d / summary.block)).padStart(3, "0")}`;
    const block = await gallery.load(name);
    if (location.hash === `#latent=${rest}`) page(d, block[d % summary.block]);
  };

  document.addEventListener("keydown", (event) => {
    const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
    const isTyping = event.target.closest("input, select, textarea, canvas");
    if (rel && !isTyping && !event.altKey && !event.ctrlKey && !event.metaKey && !element("latent").hidden) {
      document.querySelector(`#page a[rel=${rel}]`)?.click();
    }
  });
})();
