"""Images of each prior, and the training images nearest to them."""

from collections.abc import Iterator, Sequence

from experiments.records.rows import Row
from experiments.reporting.figures.strips import Strip, draw_strips, images_of
from experiments.reporting.figures.style import Drawing

_CAPTION = "The first images that were generated; below each the training image nearest to it."


def draw_generated(rows: Sequence[Row]) -> Iterator[Drawing]:
    """The first ten images of each prior of a model."""
    found = images_of(rows, "generated")
    beside = images_of(rows, "nearest")
    strips = [
        strip
        for title, images in found.items()
        for strip in (Strip(title, images), Strip(f"{title}: nearest", beside[title]))
    ]
    if strips:
        yield Drawing("generated", _CAPTION, draw_strips(strips), photo=True)
