"""How much the masks of an ablation change while they are learnt."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from cycler import cycler
from matplotlib.colors import TABLEAU_COLORS
from matplotlib.figure import Figure

from experiments.records.grouping import first_of_each_model
from experiments.records.rows import Row
from experiments.reporting.figures.style import FAMILIES, WIDTH, Drawing

CAPTION = "Churn of the mask: 1 - agreement of the batch's own choice with the running one."
CYCLE = cycler(linestyle=["-", "--", ":"]) * cycler(color=list(TABLEAU_COLORS))


def draw_churn(rows: Sequence[Row]) -> Iterator[Drawing]:
    """The churn of all variants that have a mask."""
    histories = first_of_each_model(rows, lambda row: row.history)
    sparse = {model: h for model, h in histories.items() if "agreement" in h}
    if sparse:
        yield Drawing("churn", CAPTION, plot_churn(sparse))


def plot_churn(histories: Mapping[str, Mapping[str, Any]]) -> Figure:
    """1 - agreement of the batch's mask with the running one over the epochs, one panel per rule.

    Per sample there is nothing to agree on.
    """
    rules = [
        rule
        for rule in FAMILIES
        if rule != "sample" and any(title.startswith(rule) for title in histories)
    ]
    figure = Figure((WIDTH, 3.9 * len(rules)), layout="constrained")
    panels = figure.subplots(len(rules), 1, squeeze=False)[:, 0]
    for axes, rule in zip(panels, rules, strict=True):
        axes.set_prop_cycle(CYCLE)
        for title, history in histories.items():
            if title.startswith(rule):
                churn = 1.0 - np.asarray(history["agreement"])
                axes.plot(history["epoch"], churn, marker=".", label=title.partition(": ")[2])
        axes.set_title(f"by {rule}")
        axes.set_ylabel("churn of the mask")
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize=6, ncols=2, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.2))
    return figure
