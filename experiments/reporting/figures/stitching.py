"""Stitching in pictures: the error on the way from a small dictionary to a large one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.records.grouping import first_of_each_model
from experiments.records.rows import Row
from experiments.reporting.figures.style import WIDTH, Drawing

KINDS = {
    "insert": ("novel latent inserted", "tab:blue"),
    "swap": ("reconstruction latents swapped in", "tab:orange"),
    "drop": ("latent without a successor dropped", "tab:green"),
}
CAPTION = (
    "above, the error as novel latents of the large dictionary are inserted in the small one and "
    "the others take the place of what they resemble, until it is the large one; in the middle, "
    "other thresholds; below, the latents one by one, those left of the line being novel."
)


def draw_stitching(rows: Sequence[Row]) -> Iterator[Drawing]:
    """A figure for each pair of dictionaries."""
    for model, history in first_of_each_model(rows, lambda row: row.history).items():
        yield Drawing(model, f"{model}: {CAPTION}", plot_stitching(history))


def plot_stitching(history: Mapping[str, Any]) -> Figure:
    """The path at one threshold, what each threshold makes of it, and each latent alone."""
    figure = Figure((WIDTH, 8.4), layout="constrained")
    path, sweep, alone = figure.subplots(3, 1)
    _draw_path(path, history)
    _draw_sweep(sweep, history)
    _draw_latents(alone, history)
    return figure


def _draw_path(axes: Axes, history: Mapping[str, Any]) -> None:
    errors = np.asarray(history["path_error"])
    kinds = np.asarray(history["path_kind"])
    for kind, (label, colour) in KINDS.items():
        steps = np.flatnonzero(kinds == kind)
        if len(steps):
            points = np.append(steps[0], steps + 1)
            axes.plot(points, errors[points], color=colour, label=label)
    axes.set_title("from the small dictionary to the large one")
    axes.set_xlabel("step")
    axes.set_ylabel("mean squared error")
    axes.legend(frameon=False, fontsize=7)


def _draw_sweep(axes: Axes, history: Mapping[str, Any]) -> None:
    thresholds, errors, worst, novel = (
        [verdict[name] for verdict in history["sweep"]]
        for name in ("threshold", "error", "worst", "novel")
    )
    axes.plot(thresholds, errors, "o-", markersize=3, label="with all novel latents inserted")
    axes.plot(thresholds, worst, "o--", markersize=3, label="worst on the path")
    ends = history["path_error"][0], history["path_error"][-1]
    for error, name, line in zip(ends, ("small", "large"), ("-", ":"), strict=True):
        axes.axhline(error, color="0.5", linestyle=line, label=f"the {name} one")
    for threshold, error, count in zip(thresholds, errors, novel, strict=True):
        axes.annotate(
            str(count), (threshold, error), (0, 5), textcoords="offset points", fontsize=6.5
        )
    axes.set_title("what the threshold decides; numbers: novel latents")
    axes.set_xlabel("cosine from which two latents are versions of one another")
    axes.set_ylabel("mean squared error")
    axes.legend(frameon=False, fontsize=7)


def _draw_latents(axes: Axes, history: Mapping[str, Any]) -> None:
    effects = np.asarray(history["effect"])
    axes.plot(history["cosine"], effects, ".", markersize=2.5)
    axes.axhline(0.0, color="0.5", linewidth=0.8)
    axes.axvline(history["threshold"], color="0.5", linestyle=":")
    axes.set_yscale("symlog", linthresh=max(float(np.median(np.abs(effects))), 1e-12))
    axes.set_title("each latent of the large one, inserted alone")
    axes.set_xlabel("largest cosine with the small one")
    axes.set_ylabel("change of the error")
