"""One input at a time through a trained model: its code, how the mask chose it, what it decodes to.

Pure functions of inputs and codes; `experiments.explore` is the page around them.
"""

import functools
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae_topk_jax.element import boundary
from vae_topk_jax.gallery.directions import thresholds
from vae_topk_jax.inference import Inference
from vae_topk_jax.models import TopKVAE
from vae_topk_jax.models.dictionary import Dictionary
from vae_topk_jax.statistics import find_statistics

_LARGEST = float(np.finfo(np.float32).max)


class Choice(NamedTuple):
    """Which dimensions an input's code keeps, and by what.

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
    """A model for one input: arrays in, NumPy arrays out, compiled before the first is asked for.

    Args:
        model: any trained model.

    Examples:
        >>> from vae_topk_jax.run_info import RunInfo
        >>> from vae_topk_jax.config import Config
        >>> info = RunInfo(Config(model="beta_vae", latent_dim=4), (8, 8, 1), {"train": 128})
        >>> inspector = Inspector(Inference(info.trainer.init(), info))
        >>> z_D = inspector.code(np.zeros((8, 8, 1), np.float32))
        >>> inspector.image(z_D).shape
        (8, 8, 1)
        >>> inspector.choice(np.zeros((8, 8, 1), np.float32)).rule
        'a dense model: all 4 latents are active'
    """

    def __init__(self, model: Inference):
        self.model = model
        x_HxWxC = np.zeros(model.info.image_shape, np.float32)
        self.image(self.code(x_HxWxC))
        self.choice(x_HxWxC)

    @property
    def latents(self) -> int:
        """D."""
        return self.model.config.latent_dim

    def code(self, x_HxWxC: np.ndarray) -> np.ndarray:
        """z_D of an input, zero where it was masked.

        Raises:
            ValueError: as `Inference.encode`.
        """
        return np.asarray(self.model.encode(x_HxWxC[None])[0])

    def image(self, z_D: np.ndarray) -> np.ndarray:
        """What a code decodes to, (H, W, C).

        Raises:
            ValueError: as `Inference.decode`.
        """
        return np.asarray(self.model.decode(z_D[None])[0])

    def choice(self, x_HxWxC: np.ndarray) -> Choice:
        """How the mask of inference chose the code of an input.

        By dimension the running importance ranks, the same for every input; by element and per
        sample the input's own scores; by slot what the encoder finds probable. For a model with
        another rule only the outcome is given.
        """
        active_D = self.code(x_HxWxC) != 0
        config, system = self.model.config, self.model.model
        if isinstance(system, Dictionary):
            return self._of_dictionary(x_HxWxC, active_D)
        if not isinstance(system, TopKVAE):
            rule = f"{config.model}: {active_D.sum()} of {self.latents} latents are not zero"
            if not config.system.is_sparse:
                rule = f"a dense model: all {self.latents} latents are active"
            return Choice(active_D, np.abs(self.code(x_HxWxC)), None, "|z|", rule)

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
                f"by slot: of each of K = {config.k} groups of {self.latents // config.k} latents "
                "the one that the encoder finds most probable"
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

    def _of_dictionary(self, x_HxWxC: np.ndarray, active_D: np.ndarray) -> Choice:
        f_D = np.asarray(self.model.latents(x_HxWxC[None], all_dims=True)[0])
        threshold_D = thresholds(self.model)
        is_one = threshold_D is not None and np.ptp(threshold_D) == 0
        level = float(threshold_D[0]) if threshold_D is not None and is_one else None
        rule = f"{self.model.config.model}: {active_D.sum()} of {self.latents} latents are active"
        if level is not None:
            rule += ", those that reach the running threshold (dashed)"
        return Choice(active_D, f_D, level, "latents before the mask", rule)

    @functools.cached_property
    def _scores(self) -> Callable[..., Any]:
        return jax.jit(functools.partial(self.model.model.apply, method="scores"))


def checked_entry(latents: int, dimension: Any, value: Any) -> tuple[int, float]:
    """A latent and its value, as a browser sends them.

    Raises:
        ValueError: no such dimension, or a value that is not finite.

    Examples:
        >>> checked_entry(3, 1, -2)
        (1, -2.0)
    """
    value_is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    checked = checked_latent(latents, dimension)
    if not value_is_number or not -_LARGEST <= value <= _LARGEST:
        raise ValueError(f"value must be a finite number, got {value!r}")
    return checked, float(value)


def checked_latent(latents: int, dimension: Any) -> int:
    """The number of a latent, as a browser sends it.

    Raises:
        ValueError: no such dimension.
    """
    if type(dimension) is not int or not 0 <= dimension < latents:
        raise ValueError(f"dimension must be an integer in [0, {latents}), got {dimension!r}")
    return dimension
