"""What the start page says of all latents and of the model, as JSON has it."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vae_topk_jax.gallery.drawing import STEPS
from vae_topk_jax.gallery.findings import DENSE, Findings, short
from vae_topk_jax.gallery.thumbnails import Sheets

if TYPE_CHECKING:
    from vae_topk_jax.inference import Inference


BLOCK: Final = 64  # latents to a file of records
# What the columns of the start page are.
DEFINITIONS = {
    "frequency": "the fraction of the inputs in which the latent is active, that is not zero",
    "importance": "the running importance of training, which ranks dimensions",
    "sensitivity": "how far the output moves with a unit of the latent: the root mean square of "
    "the derivative's length at the codes of 16 inputs",
    "purity": "of the inputs that activate the latent, the fraction with their most frequent label",
    "norm": "the length of its direction, which is the mean of these derivatives",
    "mean": "the mean value where it is active",
    "strongest": "its largest value, whatever the sign",
}
_WORDS = 3  # texts of a latent that a search looks into
_LETTERS = 120  # of each


def summary_of(
    findings: Findings, card: Mapping[int, int], sheets: Mapping[str, Sheets]
) -> dict[str, Any]:
    """What the start page and the map need: a number or two of every latent.

    Args:
        findings: what was found.
        card: latent -> the number of its picture.
        sheets: the sheets of pictures that there are, by name.
    """
    options = findings.options
    activity, size = findings.activity, findings.activity.latents
    summary: dict[str, Any] = {
        "latents": size,
        "inputs": activity.inputs,
        "source": options.source,
        "block": BLOCK,
        "dense": DENSE,
        "columns": {n: [short(x) for x in x_D] for n, x_D in findings.columns.items()},
        "range": [
            [short(x) for x in activity.lowest_D],
            [short(x) for x in activity.highest_D],
        ],
        "map": {
            "latent": findings.alive.tolist(),
            "x": [short(x) for x in findings.place_MxX[:, 0]],
            "y": [short(x) for x in findings.place_MxX[:, 1]],
        },
        "sheets": {name: sheet.describe() for name, sheet in sheets.items()},
        "card": [card.get(latent, -1) for latent in range(size)],
        "bases": findings.bases,
        "steps": STEPS,
        "images": options.texts is None and "examples" in sheets,
    }
    if findings.label_D is not None:
        summary["label"] = findings.label_D.tolist()
    if options.history is not None:
        summary["history"] = options.history["step"]
    if options.texts is not None:
        summary["words"] = [" ".join(_words(findings, latent)) for latent in range(size)]
    if findings.meta_MxD is not None:
        meta: list[list[int]] = [[] for _ in range(size)]
        for latent, line in zip(findings.alive.tolist(), findings.meta_MxD, strict=True):
            meta[latent] = np.flatnonzero(line).tolist()
        summary["meta"] = meta
    return summary


def _words(findings: Findings, latent: int) -> Iterator[str]:
    texts = findings.options.texts
    assert texts is not None
    for index in findings.activity.of("highest", latent).index_N[:_WORDS]:
        yield str(texts[index])[:_LETTERS].lower()


def comparison_of(findings: Findings, card: Mapping[int, int]) -> dict[str, Any]:
    """The latents of the other model, and the pairs; `card` as in `summary_of`, of the other."""
    found, other = findings.match, findings.other
    assert other is not None
    best = (
        {} if found is None else dict(zip(other.alive.tolist(), found.best_theirs_N, strict=True))
    )
    return {
        "title": describe(other.model),
        "latents": other.alive.tolist(),
        "frequency": [short(x) for x in other.activity.frequency_D[other.alive]],
        "best": [short(best.get(latent, 0.0)) for latent in other.alive.tolist()],
        "card": [card.get(latent, -1) for latent in other.alive.tolist()],
        "pairs": []
        if found is None
        else [
            [int(ours), int(theirs), short(cosine)]
            for ours, theirs, cosine in zip(*found[:3], strict=True)
        ],
    }


def facts_of(findings: Findings) -> dict[str, str]:
    """What stands at the head of the start page."""
    activity = findings.activity
    facts = {
        "inputs": f"{activity.inputs:,}, {findings.options.source}",
        "latents active in an input": f"{activity.active_D.sum() / activity.inputs:.4g}",
        "latents never active": f"{activity.latents - len(findings.alive):,}",
        "latents active in more than half of the inputs": (
            f"{np.sum(activity.frequency_D > DENSE):,}"
        ),
    }
    metrics = findings.options.metrics.items()
    return facts | {name.replace("_", " "): f"{x:.4g}" for name, x in metrics}


def relation_of(findings: Findings) -> dict[str, str | None] | None:
    """The other model, what both have in common, and the mean of the best matching."""
    if findings.other is None:
        return None
    return {
        "title": describe(findings.other.model),
        "relation": _relation(findings.model, findings.other.model),
        "mean": None if findings.match is None else f"{findings.match.mean:.3f}",
    }


def describe(model: "Inference") -> str:
    """A model in a few words."""
    config = model.config
    return f"{config.model}, {config.system.summary}, seed {config.seed}"


def _relation(ours: "Inference", theirs: "Inference") -> str:
    """What the two models have in common."""
    mine, other = (model.config.to_dict() | {"seed": None} for model in (ours, theirs))
    differ = sorted(name for name in mine if name in other and mine[name] != other[name])
    if ours.config.model != theirs.config.model:
        return "two systems"
    if not differ:
        is_same = ours.config.seed == theirs.config.seed
        return "the same configuration and seed" if is_same else "two seeds of one configuration"
    return f"one system, other {', '.join(name.replace('_', ' ') for name in differ)}"
