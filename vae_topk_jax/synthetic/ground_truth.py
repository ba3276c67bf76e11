"""Features with known directions, and the vectors that they add up to."""

import dataclasses
import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from vae_topk_jax.synthetic.directions import orthogonalise, random_directions
from vae_topk_jax.synthetic.firing import (
    Correlation,
    firing_uniforms,
    low_rank_correlation,
    zipf_probabilities,
)
from vae_topk_jax.synthetic.hierarchy import Hierarchy, compensated, impose
from vae_topk_jax.synthetic.setting import Setting


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        "directions_GxF",
        "bias_F",
        "probability_G",
        "correlation",
        "mean_G",
        "deviation_G",
    ],
    meta_fields=["hierarchy"],
)
@dataclasses.dataclass(frozen=True)
class GroundTruth:
    """What vectors are made of: x = sum over g of a_g d_g + bias.

    The trainer takes one in place of images, and asks it for the batch of each step.

    Attributes:
        directions_GxF: d, of length 1.
        bias_F: what is added to all vectors.
        probability_G: how often each feature is drawn, before the trees.
        correlation: of the draws.
        mean_G, deviation_G: of the strength of each feature where it fires.
        hierarchy: the trees in which the first features stand.
    """

    directions_GxF: Array
    bias_F: Array
    probability_G: Array
    correlation: Correlation
    mean_G: Array
    deviation_G: Array
    hierarchy: Hierarchy

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(1, 1, F): vectors as the trainer sees them."""
        return (1, 1, self.directions_GxF.shape[1])

    def batch(self, key: Array, step: Array | int, size: int) -> Array:
        """x_Bx1x1xF of a training step, a function of the key and of the step alone."""
        x_BxF = draw(self, jax.random.fold_in(key, step), size).x_BxF
        return x_BxF.reshape(size, *self.image_shape)


class Drawn(NamedTuple):
    """Vectors, and what they are made of.

    Attributes:
        x_BxF: the vectors.
        features_BxG: how strong each feature is in each; 0 where it does not fire.
    """

    x_BxF: Array
    features_BxG: Array


@functools.partial(jax.jit, static_argnames="setting")
def make_ground_truth(key: Array, setting: Setting) -> GroundTruth:
    """The directions, probabilities and strengths of a setting, a function of the key.

    Args:
        key: typed key, `jax.random.key(seed)`.
        setting: what decides the ground truth besides.

    Examples:
        >>> from vae_topk_jax.synthetic import SETTINGS
        >>> truth = make_ground_truth(jax.random.key(0), SETTINGS["tiny"])
        >>> truth.directions_GxF.shape, truth.image_shape
        ((128, 24), (1, 1, 24))
    """
    direction_key, bias_key, correlation_key, deviation_key = jax.random.split(key, 4)
    size = setting.features
    directions_GxF = random_directions(direction_key, size, setting.inputs)
    often_G = zipf_probabilities(size, setting.exponent, setting.most, setting.least)
    noise_G = jax.random.normal(deviation_key, (size,), jnp.float32)
    return GroundTruth(
        directions_GxF=orthogonalise(directions_GxF, setting.steps, setting.learning_rate),
        bias_F=setting.bias * random_directions(bias_key, 1, setting.inputs)[0],
        probability_G=compensated(often_G, setting.hierarchy),
        correlation=low_rank_correlation(correlation_key, size, setting.rank, setting.correlation),
        mean_G=jnp.linspace(setting.first_mean, setting.last_mean, size, dtype=jnp.float32),
        deviation_G=jnp.abs(setting.deviation_mean + setting.deviation_spread * noise_G),
        hierarchy=setting.hierarchy,
    )


@functools.partial(jax.jit, static_argnames="size")
def draw(truth: GroundTruth, key: Array, size: int) -> Drawn:
    """Vectors with their features; arguments as in `draw_features`.

    Examples:
        >>> from vae_topk_jax.synthetic import SETTINGS
        >>> truth = make_ground_truth(jax.random.key(0), SETTINGS["tiny"])
        >>> x, features = draw(truth, jax.random.key(1), size=5)
        >>> x.shape, features.shape
        ((5, 24), (5, 128))
    """
    features_BxG = draw_features(truth, key, size)
    return Drawn(add_up(truth, features_BxG), features_BxG)


@functools.partial(jax.jit, static_argnames="size")
def draw_features(truth: GroundTruth, key: Array, size: int) -> Array:
    """features_BxG, the strength of each feature in each of `size` examples.

    A feature that fires has a strength of max(0, N(mean, deviation^2)); then the trees decide what
    is left of it.

    Args:
        truth: the ground truth.
        key: typed key.
        size: B, how many examples.

    Examples:
        >>> from vae_topk_jax.synthetic import SETTINGS
        >>> truth = make_ground_truth(jax.random.key(0), SETTINGS["tiny"])
        >>> features = draw_features(truth, jax.random.key(1), size=5)
        >>> bool((features >= 0).all())
        True
    """
    firing_key, tree_key = jax.random.split(key)
    fires_BxG, uniform_BxG = _once(
        firing_uniforms(firing_key, truth.probability_G, truth.correlation, size)
    )
    noise_BxG = math.sqrt(2) * jax.lax.erf_inv(2.0 * jnp.minimum(uniform_BxG, 1.0) - 1.0)
    strength_BxG = truth.mean_G[None, :] + truth.deviation_G[None, :] * noise_BxG
    features_BxG = _once(jnp.where(fires_BxG, jax.nn.relu(strength_BxG), 0.0))
    return impose(truth.hierarchy, features_BxG, truth.mean_G, tree_key)


# Without it compilers work the random numbers out again for every use, ten times in all.
_once = jax.lax.optimization_barrier


def add_up(truth: GroundTruth, features_BxG: Array) -> Array:
    """x_BxF, the vectors that these features add up to.

    Examples:
        >>> from vae_topk_jax.synthetic import SETTINGS
        >>> truth = make_ground_truth(jax.random.key(0), SETTINGS["tiny"])
        >>> bool(jnp.allclose(add_up(truth, jnp.zeros((1, 128)))[0], truth.bias_F))
        True
    """
    return features_BxG @ truth.directions_GxF + truth.bias_F[None, :]
