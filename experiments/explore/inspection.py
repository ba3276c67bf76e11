"""One image at a time through a trained model: its code, how the mask chose it, what it decodes to.

Pure functions of images and codes; `experiments.explore` is the page around them.
"""

import functools
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae_topk_jax.inference import Inference
from vae_topk_jax.models import TopKVAE
from vae_topk_jax.selection import boundary
from vae_topk_jax.statistics import find_statistics

_LARGEST = float(np.finfo(np.float32).max)
RANGED = 1000  # images whose codes say how far a latent goes


class Choice(NamedTuple):
    """Which dimensions an image's code keeps, and by what.

    Attributes:
        active_D: bool, the entries that pass.
        rank_D: what they are ranked by.
        level: the rank from which on an entry passes; None where no rule of that kind is at work.
        ranked_by: what rank_D is.
        rule: a sentence about the selection.
    """

    active_D: np.ndarray
    rank_D: np.ndarray
    level: float | None
    ranked_by: str
    rule: str


class Inspector:
    """A model for one image: arrays in, NumPy arrays out, compiled before the first is asked for.

    Args:
        model: any trained model of images.

    Examples:
        >>> from vae_topk_jax.run_info import RunInfo
        >>> from vae_topk_jax.config import Config
        >>> info = RunInfo(Config(model="beta_vae", latent_dim=4), (8, 8, 1), {"train": 128})
        >>> inspector = Inspector(Inference(info.trainer.init(), info))
        >>> z_D = inspector.code(np.zeros((8, 8, 1), np.float32))
        >>> inspector.image(with_entry(z_D, 2, 1.5)).shape
        (8, 8, 1)
        >>> inspector.choice(np.zeros((8, 8, 1), np.float32)).rule
        'a dense model: all 4 latents are active'
    """

    def __init__(self, model: Inference):
        self.model = model
        x_HxWxC = np.zeros(model.info.image_shape, np.float32)
        self.image(self.code(x_HxWxC))
        self.choice(x_HxWxC)

    def code(self, x_HxWxC: np.ndarray) -> np.ndarray:
        """z_D of an image in [0, 1], zero where it was masked.

        Raises:
            ValueError: as `Inference.encode`.
        """
        return np.asarray(self.model.encode(x_HxWxC[None])[0])

    def image(self, z_D: np.ndarray) -> np.ndarray:
        """The image (H, W, C) in [0, 1] that a code decodes to.

        Raises:
            ValueError: as `Inference.decode`.
        """
        return np.clip(np.asarray(self.model.decode(z_D[None])[0]), 0.0, 1.0)

    def choice(self, x_HxWxC: np.ndarray) -> Choice:
        """How the mask of inference chose the code of an image.

        By dimension the running importance ranks, the same for every image; by element and per
        sample the image's own scores; by slot what the encoder finds probable. For a model with
        another rule only the outcome is given.
        """
        active_D = self.code(x_HxWxC) != 0
        config, count = self.model.config, len(active_D)
        if not isinstance(self.model.model, TopKVAE):
            rank_D = np.abs(self.code(x_HxWxC))
            rule = f"{config.model}: {active_D.sum()} of {count} latents are not zero"
            if not config.system.is_sparse:
                rule = f"a dense model: all {count} latents are active"
            return Choice(active_D, rank_D, None, "|z|", rule)

        statistics = find_statistics(self.model.state.batch_stats)
        assert statistics is not None
        level: float | None = None
        weighted = " x decoder sensitivity" if config.sensitivity_every else ""
        if config.selection == "dimension":
            level = float(boundary(statistics.importance, self.model.frequency))
            rule = (
                f"by dimension: the K = {config.k} dimensions of the largest running importance, "
                "the same for every image"
            )
            ranked_by = f"importance: {config.importance}{weighted}"
            return Choice(active_D, np.asarray(statistics.importance), level, ranked_by, rule)
        rank_D = np.asarray(self._scores(self.model.variables, x_HxWxC[None])[0])
        ranked_by = f"score: {config.score}{weighted}"
        if config.selection == "slot":
            ranked_by = "probability in its group"
            rule = (
                f"by slot: of each of K = {config.k} groups of {count // config.k} latents the one "
                "that the encoder finds most probable"
            )
        elif config.selection == "element":
            level = float(statistics.threshold)
            rule = (
                f"by element: every entry whose score reaches the running threshold (dashed); "
                f"K = {config.k} on average, {active_D.sum()} in this image"
            )
        else:
            level = float(boundary(jnp.asarray(rank_D), jnp.asarray(active_D)))
            rule = f"per sample: the K = {config.k} entries of the largest score in this image"
        return Choice(active_D, rank_D, level, ranked_by, rule)

    @functools.cached_property
    def _scores(self) -> Callable[..., Any]:
        return jax.jit(functools.partial(self.model.model.apply, method="scores"))

    def limits(self, images_NxHxWxC: np.ndarray) -> np.ndarray:
        """limit_D, how far from zero a latent goes in the first 1,000 images, at least 1; in steps
        of 0.05."""
        z_NxD = np.abs(np.asarray(self.model.latents(images_NxHxWxC[:RANGED])))
        return np.maximum(np.ceil(20 * z_NxD.max(axis=0)) / 20, 1.0)


def with_entry(z_D: np.ndarray, dimension: Any, value: Any) -> np.ndarray:
    """A copy of z with another value in one dimension.

    Args:
        z_D: a code.
        dimension: an integer.
        value: a number; both as a browser sends them.

    Raises:
        ValueError: no such dimension, or a value that is not finite.

    Examples:
        >>> with_entry(np.array([0.5, 0.0]), 1, -2.0).tolist()
        [0.5, -2.0]
    """
    if type(dimension) is not int or not 0 <= dimension < len(z_D):
        raise ValueError(f"dimension must be an integer in [0, {len(z_D)}), got {dimension!r}")
    is_number = isinstance(value, numbers.Real)
    if not is_number or not -_LARGEST <= value <= _LARGEST:
        raise ValueError(f"value must be a finite number, got {value!r}")
    changed_D = np.array(z_D)
    changed_D[dimension] = value
    return changed_D
