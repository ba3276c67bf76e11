"""The answer in one picture: what the paper's two models and the default make of test images."""

from collections.abc import Iterator, Sequence

from experiments.records.grouping import by_variant
from experiments.records.rows import Row
from experiments.reporting.columns import SAMPLERS
from experiments.reporting.figures.strips import Strip, draw_strips, images_of, originals
from experiments.reporting.figures.style import Drawing
from experiments.study.lineup import BASELINE, ELEMENT, MEAN_ABS_Z

MODELS = {
    BASELINE: BASELINE,
    MEAN_ABS_Z: f"{MEAN_ABS_Z} (the paper's rule)",
    ELEMENT: f"{ELEMENT} (the default)",
}
_SIGMA = "0.5"


def draw_answer(rows: Sequence[Row]) -> Iterator[Drawing]:
    """One picture of the beta-VAE, the paper's rule and the default, as far as they have images.

    Of several variants, reconstructions and samples are of the first, noisy images of the last.
    """
    first = _of_variant(rows, "reconstructions", 0)
    noisy = _of_variant(rows, f"noisy_{_SIGMA}", -1)
    sampler = next((s for s in reversed(SAMPLERS) if images_of(first, f"samples_{s}")), None)
    strips = [*originals(first), *_strips(first, "reconstructions", "")]
    if sampler:
        strips += _strips(first, f"samples_{sampler}", "generated: ")
    if noisy:
        given = next(iter(images_of(noisy, f"noisy_{_SIGMA}").values()))
        strips.append(Strip(f"with noise, sigma {_SIGMA}", given))
        strips += _strips(noisy, f"reconstructed_{_SIGMA}", f"{noisy[0].variant}: ")
    if strips:
        yield Drawing(
            "answer", _caption(bool(first), sampler, bool(noisy)), draw_strips(strips), photo=True
        )


def _of_variant(rows: Sequence[Row], picture: str, which: int) -> list[Row]:
    """The rows of the models shown, of the first or last variant that has such a picture."""
    shown = [row for row in rows if row.model in MODELS and picture in (row.pictures or {})]
    return list(by_variant(shown).values())[which] if shown else []


def _strips(rows: Sequence[Row], picture: str, before: str) -> Iterator[Strip]:
    images = images_of(rows, picture)
    for model, title in MODELS.items():
        if model in images:
            yield Strip(f"{before}{title}", images[model])


def _caption(reconstructed: bool, sampler: str | None, noisy: bool) -> str:
    parts = [
        "test images and their reconstructions" if reconstructed else "",
        f"images generated from codes of the {sampler}" if sampler else "",
        "test images with noise and what is reconstructed of them" if noisy else "",
    ]
    return f"From above: {'; '.join(filter(None, parts))}."
