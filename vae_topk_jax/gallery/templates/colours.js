"use strict";
// The colours of the map: by the most frequent label, or by the frequency on a logarithmic scale.
const colours = (() => {
  const { element, make, percent } = gallery;
  const isByLabel = () => element("colour").value === "label";
  const ofLabel = (label) => (360 * label) / (Math.max(...gallery.summary.label) + 1);
  const ofShare = (share) => 20 - 61 * Math.log10(Math.max(share, 1e-4));

  function hue(d) {
    const { columns, label } = gallery.summary;
    return isByLabel() ? ofLabel(label[d]) : ofShare(columns.frequency[d]);
  }

  // Fills the legend.
  function explain() {
    const { label, map } = gallery.summary;
    const shown = isByLabel()
      ? [...new Set(map.latent.map((d) => label[d]))].sort((a, b) => a - b).slice(0, 20)
        .map((found) => [`label ${found}`, ofLabel(found)])
      : [1e-4, 1e-3, 1e-2, 1e-1, 1].map((share) => [percent(share), ofShare(share)]);
    element("legend").replaceChildren(...shown.map(([name, degrees]) => {
      const mark = make("i", { "aria-hidden": "true" });
      mark.style.background = `hsl(${degrees} 70% var(--dot))`;
      return make("span", {}, mark, name);
    }));
  }

  return { hue, explain };
})();
