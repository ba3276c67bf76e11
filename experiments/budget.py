"""How much a reproduction spends: the presets."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """What a preset trains and measures.

    Attributes:
        seeds: one model of each row is trained a seed.
        epochs: passes over the training images, more of them where there are so few images that
            `least_steps` would not be reached.
        probe_epochs, probe_least_steps: the same for the digit classifier.
        variants: loss regimes of Table 1, values of `latent_reduction`.
        samples: generated images a sampler, at most the number of test images.
        mixture_codes: training codes that the mixture is fitted on, at most all.
        stability_batches: test batches of each size in the stability study.
        timing_rounds: alternating epochs of the timing; 0 leaves it out.
        train_images, test_images: the first so many are used; None: all.
    """

    seeds: tuple[int, ...]
    epochs: int
    probe_epochs: int
    least_steps: int = 0
    probe_least_steps: int = 0
    variants: tuple[str, ...] = ("mean", "sum")
    samples: int = 10_000
    mixture_codes: int = 10_000
    stability_batches: int = 50
    timing_rounds: int = 0
    train_images: int | None = None
    test_images: int | None = None

    def epochs_for(self, images: int, batch_size: int) -> int:
        """Passes over this many training images.

        Examples:
            >>> [PRESETS["quick"].epochs_for(images, 128) for images in (60_000, 4_000)]
            [2, 31]
        """
        return _epochs(self.epochs, self.least_steps, images, batch_size)

    def probe_epochs_for(self, images: int, batch_size: int = 128) -> int:
        """The same for the digit classifier."""
        return _epochs(self.probe_epochs, self.probe_least_steps, images, batch_size)


def _epochs(epochs: int, least_steps: int, images: int, batch_size: int) -> int:
    return max(epochs, math.ceil(least_steps / max(1, images // batch_size)))


PRESETS = {
    "tiny": Budget(
        seeds=(0,),
        epochs=2,
        probe_epochs=2,
        samples=200,
        mixture_codes=500,
        stability_batches=3,
        train_images=1000,
        test_images=512,
    ),
    "quick": Budget(
        seeds=(0,),
        epochs=2,
        probe_epochs=3,
        least_steps=936,
        probe_least_steps=600,
        samples=5_000,
        mixture_codes=5_000,
        stability_batches=20,
    ),
    "paper": Budget(
        seeds=(0, 1, 2, 3, 4),
        epochs=10,
        probe_epochs=5,
        least_steps=4_680,
        probe_least_steps=600,
        timing_rounds=15,
    ),
}
