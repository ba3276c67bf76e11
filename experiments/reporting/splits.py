"""Which images the figures of an experiment are from: test images, or held out for choices."""

from collections.abc import Iterable, Iterator, Sequence

from experiments.records.grouping import by_model
from experiments.records.rows import Row

TEST, EITHER = "test", "held-out"


def split_of(row: Row) -> str:
    """The split that a row was measured on.

    Examples:
        >>> data = {"source": "by hand", "train": 9, "test": 1, "measured": "validation"}
        >>> split_of(Row(experiment="a", variant="", model="b", config={}, seed=0, data=data,
        ...     metrics={}, seconds=1.0))
        'validation'
    """
    return row.data.get("measured", TEST)


def split_of_all(rows: Iterable[Row]) -> str:
    """The split that all rows were measured on; "held-out" where there are two."""
    splits = {split_of(row) for row in rows}
    return splits.pop() if len(splits) == 1 else EITHER


def describe_splits(rows: Sequence[Row]) -> Iterator[str]:
    """What was measured on which images; nothing where all was on test images."""
    splits = dict.fromkeys(split_of(row) for row in rows)
    if [*splits] == [TEST]:
        return
    for split in splits:
        inside = [row for row in rows if split_of(row) == split]
        count = max(row.data["test"] for row in inside)
        which = "training images that were held out by seed" if split != TEST else "test images"
        models = "" if len(splits) == 1 else f": {'; '.join(by_model(inside))}"
        yield f"Measured on {count:,} {which}{models}."
