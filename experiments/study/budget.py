"""How much a reproduction spends: the presets."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from experiments.study.lineup import BASELINE, ELEMENT, FIXED, MEAN_ABS_Z, K, dense_title

Fields = TypeVar("Fields")


class Passes(NamedTuple):
    """Passes over the training images.

    Attributes:
        epochs: how many there are at least.
        least_steps: as many more are made as it takes to reach this number of steps.

    Examples:
        >>> [Passes(2, least_steps=936).over(images, 128) for images in (60_000, 4_000)]
        [2, 31]
    """

    epochs: int
    least_steps: int = 0

    def over(self, images: int, batch_size: int = 128) -> int:
        """How many passes to make over so many images."""
        return max(self.epochs, math.ceil(self.least_steps / max(1, images // batch_size)))


@dataclass(frozen=True)
class Budget:
    """What a preset trains and measures.

    Attributes:
        seeds: one model of each row is trained per seed.
        training, probe: passes of the models and of the digit classifier.
        variants: loss regimes of Table 1, values of `latent_reduction`.
        table1, table2: titles of the trained models of each table; None: all that it has.
        samples: generated images per sampler, at most the number of test images.
        mixture_codes: training codes that the mixture is fitted on, at most all.
        denoised: noisy test images whose codes are sought by likelihood as well, in further rows of
            Table 2; 0: no such rows.
        classifiers: digit classifiers, of one seed each, that generated images are judged by.
        stability_batches: test batches of each size in the stability study.
        validation: how many training images are held out where something is chosen.
        train_images, test_images: the first so many are used; None: all.
    """

    seeds: tuple[int, ...]
    training: Passes
    probe: Passes
    variants: tuple[str, ...] = ("mean", "sum")
    table1: tuple[str, ...] | None = None
    table2: tuple[str, ...] | None = None
    samples: int = 10_000
    mixture_codes: int = 10_000
    denoised: int = 0
    classifiers: int = 1
    stability_batches: int = 50
    validation: int = 5_000
    train_images: int | None = None
    test_images: int | None = None


def chosen(models: Mapping[str, Fields], titles: Sequence[str] | None) -> dict[str, Fields]:
    """The models with these titles, or all if there are none.

    Examples:
        >>> chosen({"a": 1, "b": 2}, ["b"]), chosen({"a": 1}, None)
        ({'b': 2}, {'a': 1})
    """
    return {name: fields for name, fields in models.items() if titles is None or name in titles}


PRESETS = {
    "tiny": Budget(
        seeds=(0,),
        training=Passes(2),
        probe=Passes(2),
        variants=("mean",),
        table1=(BASELINE, MEAN_ABS_Z, ELEMENT),
        table2=(BASELINE, ELEMENT),
        samples=200,
        mixture_codes=500,
        stability_batches=2,
        validation=200,
        train_images=1000,
        test_images=512,
    ),
    "quick": Budget(
        seeds=(0,),
        training=Passes(2, least_steps=936),
        probe=Passes(3, least_steps=600),
        variants=("mean",),
        table1=(BASELINE, MEAN_ABS_Z, ELEMENT, FIXED, dense_title(K)),
        table2=(BASELINE, MEAN_ABS_Z, ELEMENT),
        samples=2_500,
        mixture_codes=2_000,
        stability_batches=10,
    ),
    "paper": Budget(
        seeds=(0, 1, 2, 3, 4),
        training=Passes(10, least_steps=4_680),
        probe=Passes(5, least_steps=600),
        denoised=500,
        classifiers=3,
    ),
}
