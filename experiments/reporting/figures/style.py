"""How all figures look."""

import io
from typing import Any, NamedTuple

from matplotlib.figure import Figure

WIDTH = 4.5  # inches; narrow, so that a label is still readable when a phone shrinks the page
FAMILIES = {"dimension": "tab:blue", "element": "tab:orange", "sample": "tab:green"}
DENSE = "tab:red"
ANY_PAGE = "#7a7f86"  # of text without a background: read on a white page and on a black one
STYLE: dict[Any, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.size": 8.5,
    "grid.alpha": 0.3,
    "lines.linewidth": 1.2,
}


class Drawing(NamedTuple):
    """A figure with its name among those of its experiment and the text below it.

    Attributes:
        name, caption, figure: these.
        photo: it shows images, on no background, with text that is read on any.
    """

    name: str
    caption: str
    figure: Figure
    photo: bool = False

    @property
    def png(self) -> bytes:
        """The PNG file."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=180, metadata={"Software": None})
        return buffer.getvalue()
