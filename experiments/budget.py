"""How much a reproduction spends: the presets."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """What a preset trains and measures.

    Attributes:
        seeds: one model of each row is trained a seed.
        epochs: passes over the training images.
        probe_epochs: the same for the digit classifier.
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
    variants: tuple[str, ...] = ("mean", "sum")
    samples: int = 10_000
    mixture_codes: int = 10_000
    stability_batches: int = 50
    timing_rounds: int = 0
    train_images: int | None = None
    test_images: int | None = None


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
        samples=5_000,
        mixture_codes=5_000,
        stability_batches=20,
    ),
    "paper": Budget(seeds=(0, 1, 2, 3, 4), epochs=10, probe_epochs=5, timing_rounds=7),
}
