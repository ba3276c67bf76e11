"""What happened in training: losses over the epochs, importances over the steps."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.records.grouping import first_of_each_model
from experiments.records.rows import Row
from experiments.reporting.figures.style import WIDTH, Drawing

# none of them grey, which is for the dimensions that were not selected
COLOURS = [f"tab:{name}" for name in ("blue", "orange", "green", "red", "purple", "pink", "cyan")]


def draw_importance(rows: Sequence[Row]) -> Iterator[Drawing]:
    """The importance of every latent of the models that have one."""
    histories = first_of_each_model(rows, lambda row: row.history)
    sparse = {model: h for model, h in histories.items() if "importance" in h}
    if sparse:
        caption = "Importance of every latent dimension; in colour those in use at the end."
        yield Drawing("importance", caption, plot_importance(sparse))


def draw_losses(rows: Sequence[Row]) -> Iterator[Drawing]:
    """The losses of every model."""
    if histories := first_of_each_model(rows, lambda row: row.history):
        yield Drawing("losses", "Training losses.", plot_losses(histories))


def plot_losses(histories: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Loss, reconstruction term and KL term over the epochs, a line for each model."""
    terms = {"loss": "loss", "reconstruction": "reconstruction term", "kl": "KL term"}
    figure = Figure((WIDTH, 2.0 * len(terms) + 0.2 * len(histories)), layout="constrained")
    panels = figure.subplots(len(terms), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (term, title) in zip(panels, terms.items(), strict=True):
        for model, history in histories.items():
            axes.plot(history["epoch"], history[term], marker=".", markersize=3, label=model)
        axes.set_title(title)
        _scale(axes, [value for history in histories.values() for value in history[term]])
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower left", frameon=False)
    return figure


def plot_importance(histories: Mapping[str, Mapping[str, Any]]) -> Figure:
    """The importance of every dimension over training, a panel for each model."""
    figure = Figure((WIDTH, 2.3 * len(histories) + 0.2), layout="constrained")
    panels = figure.subplots(len(histories), 1, squeeze=False)[:, 0]
    for axes, (model, history) in zip(panels, histories.items(), strict=True):
        steps = history["importance"]["step"]
        values = np.asarray(history["importance"]["values"], float)
        active = history["importance"]["active_dims"]
        others = np.delete(values, active, axis=1)
        axes.plot(steps, others, color="0.7", linewidth=0.6)
        axes.set_prop_cycle(color=COLOURS)
        axes.plot(steps, values[:, active])
        axes.set_title(f"{model}: {len(active)} of {values.shape[1]} in use")
        axes.set_ylabel("importance")
        _scale(axes, values)
    panels[-1].set_xlabel("training step")
    return figure


def _scale(axes: Axes, values: Any) -> None:
    """A logarithmic axis where positive values span more than a factor of 30."""
    positive = np.asarray(values)[np.asarray(values) > 0]
    if positive.size and positive.max() > 30 * positive.min():
        axes.set_yscale("log")
