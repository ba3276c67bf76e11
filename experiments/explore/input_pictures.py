"""The inputs of the explorer as pictures."""

import functools
from typing import Any

import numpy as np

from experiments.explore import markup
from experiments.study.shown_inputs import ShownInputs
from vae_topk_jax.data import as_float
from vae_topk_jax.gallery.pictures import Scale, signed
from vae_topk_jax.gallery.thumbnails import are_pictures, scale_of

_PICKED, _PER_LABEL = 30, 3  # thumbnails, and how many of a label at most


class InputPictures:
    """Inputs by their numbers, and how they look.

    Args:
        inputs: the inputs.
    """

    def __init__(self, inputs: ShownInputs):
        self.inputs = inputs
        self.scale: Scale = scale_of(inputs.images)

    @property
    def count(self) -> int:
        """How many inputs there are."""
        return len(self.inputs.images)

    @property
    def can_be_drawn(self) -> bool:
        """Whether an input is a picture with one channel in [0, 1]."""
        shape = self.inputs.images.shape[1:]
        return are_pictures(shape) and shape[2] == 1 and self.scale == Scale(0.0, 1.0)

    @property
    def first(self) -> int:
        """The number of the input shown first."""
        return self.picked[0]

    def thumbnails(self) -> str:
        """A button for each of some inputs: the first ones of every label, or of all."""
        return markup.thumbnails(
            (index, self.preview(index), self.title(index)) for index in self.picked
        )

    @functools.cached_property
    def picked(self) -> list[int]:
        """The numbers of the inputs that are offered: the first of every label, or of all."""
        labels = self.inputs.labels
        if labels is None:
            return list(range(min(_PICKED, self.count)))
        by_label = [np.flatnonzero(labels == label) for label in np.unique(labels)[:_PICKED]]
        found = [int(x[n]) for n in range(_PER_LABEL) for x in by_label if n < len(x)]
        return found[:_PICKED]

    def title(self, index: int) -> str:
        """Its number and label."""
        labels = self.inputs.labels
        return f"input {index}{'' if labels is None else f', labelled {labels[index]}'}"

    def preview(self, index: int) -> np.ndarray:
        """What stands for an input, as bytes."""
        if self.inputs.previews is not None:
            return Scale(0, 255).bytes_of(self.inputs.previews[index])
        return self.pixels(self.input(index))

    def input(self, index: int) -> np.ndarray:
        """The input of that number, as the model takes it."""
        return as_float(self.inputs.images[index : index + 1])[0]

    def checked_index(self, index: Any) -> int:
        """The number of an input, as a browser sends it.

        Raises:
            ValueError: no such input.
        """
        if type(index) is not int or not 0 <= index < self.count:
            raise ValueError(f"index must be an integer in [0, {self.count}), got {index!r}")
        return index

    def pixels(self, x_HxWxC: np.ndarray) -> np.ndarray:
        """An input or an output as bytes: an image as it is, a vector row by row in a square."""
        if are_pictures(x_HxWxC.shape):
            return self.scale.bytes_of(x_HxWxC)
        return signed(square(x_HxWxC))


def square(x_HxWxC: np.ndarray) -> np.ndarray:
    """The values row by row in the smallest square that holds them, (S, S, 1)."""
    values = x_HxWxC.ravel()
    side = int(np.ceil(np.sqrt(len(values))))
    return np.pad(values, (0, side * side - len(values))).reshape(side, side, 1)
