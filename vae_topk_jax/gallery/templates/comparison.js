"use strict";
// The latents of two models side by side.
(() => {
  const { element, make, format, percent } = gallery;
  const [PAGE, SAME] = [60, 0.7];
  let [cards, shown] = [[], 0];

  function card(ours, theirs, cosine, other) {
    const position = other.latents.indexOf(theirs);
    const slot = other.card[position] ?? -1;
    const picture = slot < 0 ? null : drawing.tile(gallery.summary.sheets.others, "others", slot, 48, "");
    const children = [
      make("div", { class: "both" }, ours === null ? null : gallery.picture(ours, 48), picture),
      make("b", {}, ours ?? "none"),
      theirs === null ? null : make("span", {}, `there ${theirs}`),
      make("span", {}, `|cosine| ${format(cosine)}`),
      make("span", {}, `in ${percent(ours === null ? other.frequency[position] : gallery.summary.columns.frequency[ours])}`),
    ];
    const attributes = ours === null ? { class: "card" } : { class: "card", href: `#latent=${ours}` };
    return make("li", {}, make(ours === null ? "div" : "a", attributes, ...children));
  }

  function choose(other) {
    const matched = new Map(other.pairs.map(([ours, theirs, cosine]) => [ours, [theirs, cosine]]));
    const same = other.pairs.filter(([, , cosine]) => cosine >= SAME);
    const kept = { ours: new Set(same.map(([ours]) => ours)), theirs: new Set(same.map(([, theirs]) => theirs)) };
    const found = {
      same: same.sort((a, b) => b[2] - a[2]),
      new: gallery.summary.map.latent.filter((d) => !kept.ours.has(d))
        .map((d) => [d, null, matched.get(d)?.[1] ?? 0]).sort((a, b) => a[2] - b[2]),
      lost: other.latents.map((d, i) => [null, d, other.best[i]])
        .filter(([, d]) => !kept.theirs.has(d)).sort((a, b) => a[2] - b[2]),
    };
    cards = found[element("which").value];
    const counts = Object.values(found).map((list) => list.length.toLocaleString("en"));
    element("compared").textContent = `${counts[0]} in both, ${counts[1]} only here, ${counts[2]} only there`;
    element("pairs").replaceChildren();
    shown = 0;
    more(other);
  }

  function more(other) {
    element("pairs").append(...cards.slice(shown, shown + PAGE).map((found) => card(...found, other)));
    shown = Math.min(shown + PAGE, cards.length);
    element("more-pairs").hidden = shown === cards.length;
  }

  let other;
  element("which").addEventListener("change", () => choose(other));
  element("more-pairs").addEventListener("click", () => more(other));
  gallery.views.comparison = async () => {
    if (other) return;
    other = await gallery.load("comparison");
    choose(other);
  };
})();
