"""Many pictures, decoded by threads, of one shape."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from vae_topk_jax.data.cache import Block
from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.options import DataOptions
from vae_topk_jax.data.picture import Header, read_header, read_picture

BLOCK = 512
Made = TypeVar("Made")


class Encoded(NamedTuple):
    """A picture that is not decoded yet: its file, or the file's content."""

    source: Path | bytes
    name: str
    label: int | None = None


class Decoder:
    """Decodes pictures to one shape.

    Attributes:
        broken: the messages of the pictures that were left out.

    Raises:
        DataError: as `read_picture`, or pictures of several sizes without `options.image_size`.
    """

    def __init__(self, options: DataOptions, name: str):
        self._options, self._name = options, name
        self.broken: list[str] = []

    def blocks(self, pictures: Callable[[], Iterable[Encoded]]) -> Iterator[Block]:
        """The pictures in their order, some hundred at a time.

        Args:
            pictures: gives them; called twice, unless size and colour are both given.
        """
        colour, size = self._survey(pictures)
        read = functools.partial(self._read, colour=colour)
        with _threads() as pool:
            for some in _blocks(pictures()):
                images, labels = [], []
                for one, image in zip(some, pool.map(read, some), strict=True):
                    if isinstance(image, DataError):
                        self.broken.append(str(image))
                    elif image.shape[:2] != size:
                        raise DataError(
                            f"{one.name}: expected {size[0]} x {size[1]} pixels, found "
                            f"{image.shape[0]} x {image.shape[1]} once it is turned upright"
                        )
                    else:
                        images.append(image)
                        labels.append(one.label)
                if images:
                    yield Block(np.stack(images), _as_array(labels))

    def _survey(self, pictures: Callable[[], Iterable[Encoded]]) -> tuple[str, tuple[int, int]]:
        """The colours and the (H, W) of all pictures."""
        side, colour = self._options.image_size, self._options.colour
        if side is not None and colour is not None:
            return colour, (side, side)
        first: tuple[str, tuple[int, int]] | None = None
        is_grey = True
        with _threads() as pool:
            for some in _blocks(pictures()):
                for one, header in zip(some, pool.map(self._header, some), strict=True):
                    if isinstance(header, DataError):
                        continue  # counted when its turn to be decoded comes
                    is_grey &= header.is_grey
                    first = first or (one.name, header.size)
                    if side is None and header.size != first[1]:
                        raise _mixed(one.name, header.size, *first)
        if first is None:
            raise DataError(f"{self._name}: expected pictures, found none that can be read")
        return colour or ("grey" if is_grey else "rgb"), first[1] if side is None else (side, side)

    def _header(self, one: Encoded) -> Header | DataError:
        return self._tried(lambda: read_header(one.source, one.name))

    def _read(self, one: Encoded, colour: str) -> np.ndarray | DataError:
        size = self._options.image_size
        return self._tried(lambda: read_picture(one.source, one.name, colour, size))

    def _tried(self, read: Callable[[], Made]) -> Made | DataError:
        """What is read, or why it cannot be, where that does not stop the run."""
        try:
            return read()
        except DataError as error:
            if not self._options.skip_broken:
                raise
            return error


def _as_array(labels: list[int | None]) -> np.ndarray | None:
    return None if labels[0] is None else np.array(labels, np.int32)


def _mixed(name: str, size: Sequence[int], other: str, other_size: Sequence[int]) -> DataError:
    return DataError(
        f"{name}: expected {other_size[0]} x {other_size[1]} pixels as in {other}, found "
        f"{size[0]} x {size[1]}: image_size (--image-size 64) resizes and crops all of them"
    )


def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(16, os.cpu_count() or 1))


def _blocks(pictures: Iterable[Encoded]) -> Iterator[list[Encoded]]:
    iterator = iter(pictures)
    while some := list(itertools.islice(iterator, BLOCK)):
        yield some
