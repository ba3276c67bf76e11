"""How much the study of known features spends."""

from typing import NamedTuple

from vae_topk_jax.synthetic import SETTINGS, Setting


class Preset(NamedTuple):
    """A ground truth, and how dictionaries are trained on it.

    Attributes:
        setting: of the ground truth, which is the same for all seeds.
        latents: D.
        k: the mean number of active latents that is asked for.
        batch_size, samples: of a training; each sample is seen once.
        learning_rate: constant.
        evaluated: how many samples, other ones, a dictionary is measured on.
        seeds: of the dictionaries.
    """

    setting: Setting
    latents: int
    k: int
    batch_size: int
    samples: int
    learning_rate: float = 3e-4
    evaluated: int = 102_400
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def steps(self) -> int:
        """Of a training."""
        return self.samples // self.batch_size


PRESETS = {
    "tiny": Preset(
        SETTINGS["tiny"],
        latents=32,
        k=3,
        batch_size=256,
        samples=64 * 256,
        learning_rate=3e-3,
        evaluated=1024,
        seeds=(0,),
    ),
    "small": Preset(SETTINGS["small"], latents=256, k=5, batch_size=1024, samples=4000 * 1024),
    "16k": Preset(SETTINGS["16k"], latents=4096, k=25, batch_size=1024, samples=195_312 * 1024),
}
