"""The table of dictionaries on known features."""

from experiments.pages.table import PageTable
from experiments.synth.layout import LAYOUT

_LEFT_OUT = ("precision", "recall", "samples_per_second")  # the last: of a busy machine

TABLES = {
    "synth": PageTable(
        "synth",
        LAYOUT.name,
        [("small", column) for column in LAYOUT.columns if column.metric not in _LEFT_OUT],
        "256 latents, L0 5",
    )
}
