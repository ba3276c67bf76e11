"""Many pictures, decoded by threads, of one shape."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from vae_topk_jax.data.cache import Block
from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.options import DataOptions
from vae_topk_jax.data.picture import Header, read_header, read_picture

BLOCK = 512
Given = TypeVar("Given")
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

    def __init__(self, options: DataOptions):
        self._options = options
        self.broken: list[str] = []

    def blocks(self, pictures: Callable[[], Iterable[Encoded]]) -> Iterator[Block]:
        """The pictures in their order, some hundred at a time.

        Args:
            pictures: gives them; is called twice unless both options that it saves are given.
        """
        colour, shape = self._survey(pictures)
        with _threads() as pool:
            for some in _blocks(pictures()):
                read = pool.map(lambda one: self._read(one, colour), some)
                good = [
                    (image, one.label)
                    for one, image in zip(some, read, strict=True)
                    if image is not None and self._has_shape(one, image, shape)
                ]
                if not good:
                    continue
                images, labels = zip(*good, strict=True)
                labelled = None if labels[0] is None else np.array(labels, np.int32)
                yield Block(np.stack(images), labelled)

    def _survey(self, pictures: Callable[[], Iterable[Encoded]]) -> tuple[str, Any]:
        """The colours of all pictures and, where they are not resized, (H, W)."""
        size, colour = self._options.image_size, self._options.colour
        if size is not None and colour is not None:
            return colour, (size, size)
        first: tuple[str, tuple[int, int]] | None = None
        is_grey = True
        with _threads() as pool:
            for some in _blocks(pictures()):
                for one, header in zip(some, pool.map(self._header, some), strict=True):
                    if header is None:
                        continue
                    is_grey &= header.is_grey
                    first = first or (one.name, header.size)
                    if size is None and header.size != first[1]:
                        raise _mixed(one.name, header.size, *first)
        if first is None:
            raise DataError(f"expected pictures, found none that can be read{self._reasons()}")
        return colour or ("grey" if is_grey else "rgb"), first[1] if size is None else (size, size)

    def _header(self, one: Encoded) -> Header | None:
        try:
            return read_header(one.source, one.name)
        except DataError:
            if self._options.skip_broken:
                return None
            raise

    def _read(self, one: Encoded, colour: str) -> np.ndarray | None:
        try:
            return read_picture(one.source, one.name, colour, self._options.image_size)
        except DataError as error:
            if not self._options.skip_broken:
                raise
            self.broken.append(str(error))
            return None

    def _has_shape(self, one: Encoded, image: np.ndarray, size: tuple[int, int]) -> bool:
        if image.shape[:2] != size:
            raise DataError(
                f"{one.name}: expected {size[0]} x {size[1]} pixels, "
                f"found {image.shape[0]} x {image.shape[1]} once it is turned upright"
            )
        return True

    def _reasons(self) -> str:
        return f", such as {self.broken[0]}" if self.broken else ""


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
