"""Likelihoods: what the decoder's output means, and the reconstruction term that goes with it.

    gaussian            the mean is the sigmoid of the output; squared error
    bernoulli           the probability is the sigmoid of the output; in nats
    squared_error       the mean is the output itself; squared error
    normal              likewise, with one variance for all values, which is learnt; in nats
    normal_per_feature  likewise, with a variance for each value

The first two are for values in [0, 1], the others for any. With the sums over values and latents
and a beta of 1, a loss in nats is the negative evidence lower bound. A variance that is learnt
weighs reconstruction against the KL by itself: at its best value, the mean of the squared error,
the term is (log(2 pi e) + log of that mean) / 2 a value, so that small errors go on to count. It
does not depend on the code, starts at the variance of the training inputs, and cannot fall below
exp(-12), so that the term stays bounded where an error is zero.

References:
    Kingma & Welling, "Auto-Encoding Variational Bayes", 2013, appendix C. Rybkin, Daniilidis &
    Levine, "Simple and Effective VAE Training with Calibrated Decoders", ICML 2021 (sigma-VAE: one
    variance, and its soft lower bound).
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from vae_topk_jax.losses import bernoulli_nll, normal_nll, squared_distance, squared_error

SMALLEST_LOGVAR = -12.0


class Likelihood(NamedTuple):
    """What the decoder's output means.

    Attributes:
        mean: output_BxHxWxC -> the mean of the inputs, which is what a model decodes.
        term: (output_BxHxWxC, target_BxHxWxC, reduction) -> the reconstruction term of each
            example; takes `logvar` as well if a variance is learnt.
        input_range: the smallest and the largest value of an input; None: any finite one.
        variance: which variances are learnt: none, one for all values, or one for each.
    """

    mean: Callable[[Array], Array]
    term: Callable[..., Array]
    input_range: tuple[float, float] | None = None
    variance: Literal["none", "global", "feature"] = "none"

    @property
    def has_variance(self) -> bool:
        """Whether a variance is learnt."""
        return self.variance != "none"

    def logvar_shape(self, image_shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of the learnt log-variances of images (H, W, C).

        Examples:
            >>> LIKELIHOODS["normal_per_feature"].logvar_shape((1, 1, 8))
            (1, 1, 8)
        """
        return tuple(image_shape) if self.variance == "feature" else ()


def bounded_logvar(raw: Array) -> Array:
    """A log-variance above -12: -12 + softplus(raw + 12), which is raw where that is far above.

    Examples:
        >>> bounded_logvar(jnp.array([-1000.0, 0.0])).round(4).tolist()
        [-12.0, 0.0]
    """
    return SMALLEST_LOGVAR + jax.nn.softplus(raw - SMALLEST_LOGVAR)


def starting_logvar(x_NxHxWxC: Array) -> Array:
    """() where a learnt log-variance starts: the inputs' variance, averaged over values, as log.

    Pixels vary far less than 1. From a variance of 1 the KL would outweigh their errors at first
    and bring the posterior to the prior, from where few latents come back.

    Examples:
        >>> round(float(starting_logvar(jnp.array([0.0, 0.2]).reshape(2, 1, 1, 1))), 4)
        -4.6052
    """
    variance = jnp.mean(jnp.var(x_NxHxWxC, axis=0, dtype=jnp.float32))
    return jnp.log(jnp.maximum(variance, math.exp(SMALLEST_LOGVAR)))


def _identity(output_BxHxWxC: Array) -> Array:
    return output_BxHxWxC


LIKELIHOODS: dict[str, Likelihood] = {
    "gaussian": Likelihood(jax.nn.sigmoid, squared_error, (0.0, 1.0)),
    "bernoulli": Likelihood(jax.nn.sigmoid, bernoulli_nll, (0.0, 1.0)),
    "squared_error": Likelihood(_identity, squared_distance),
    "normal": Likelihood(_identity, normal_nll, variance="global"),
    "normal_per_feature": Likelihood(_identity, normal_nll, variance="feature"),
}
OF_ANY_VALUE = tuple(name for name, of in LIKELIHOODS.items() if of.input_range is None)
