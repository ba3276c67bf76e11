"""The galleries of a study's models, in its folder."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from experiments.records.rows import Row
from experiments.reporting.document import Link

GALLERIES = "galleries"


def gallery_folder(study: Path, row: Row) -> Path:
    """Where the gallery of a row's model lies.

    Examples:
        >>> row = Row(experiment="table1", variant="averaged KL", model="Top-K by element",
        ...           config={}, seed=0, data={}, metrics={}, seconds=1.0)
        >>> gallery_folder(Path("runs/quick"), row).name
        'table1-averaged-kl-top-k-by-element-0'
    """
    words = "-".join(str(part) for part in row.place if part not in ("", None))
    return study / GALLERIES / re.sub("[^a-z0-9]+", "-", words.lower()).strip("-")


def gallery_links(study: Path, rows: Iterable[Row], start: Path) -> Iterator[Link]:
    """A link to the gallery of each row that has one.

    Args:
        study: the folder of the results.
        rows: the rows.
        start: the folder of the page that links to them.
    """
    for row in rows:
        folder = gallery_folder(study, row)
        if (folder / "index.html").is_file():
            words = ", ".join(filter(None, (row.model, row.variant)))
            yield Link(
                f"What the latents of {words} have learned",
                Path(os.path.relpath(folder / "index.html", start)).as_posix(),
            )
