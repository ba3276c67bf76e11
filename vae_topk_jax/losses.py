"""Reconstruction and divergence terms, with their reductions spelled out.

A beta means nothing without its reductions: for 784 pixels and 64 latents, beta = 0.001 under
`mean` over pixels and `mean` over latents is beta = 0.001 * 784 / 64 = 0.012 under `sum` and `sum`.
Both reductions are therefore arguments everywhere. Every term comes as one value per example, in
float32; `batch_average` makes the loss of it. A divergence keeps its digits near zero, and what a
weight of zero takes out of it is zero, in the gradient as well, even where it overflows.
"""

import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from vae_topk_jax.checks import check_batch, check_shape, check_valid, lookup
from vae_topk_jax.divergences import bernoulli_kl, normal_kl, weighted_kl
from vae_topk_jax.scores import element_kl

Reduction = Literal["sum", "mean"]

_PIXELS = (1, 2, 3)


def squared_error(logits: Array, target: Array, reduction: Reduction) -> Array:
    """(sigmoid(logits) - target)^2 of each image, reduced over its pixels.

    Under `sum` this is -2 log N(target; sigmoid(logits), I) up to a constant.

    Args:
        logits: logits_BxHxWxC.
        target: target_BxHxWxC in [0, 1].
        reduction: over height, width and channels.

    Returns:
        error_B.

    Raises:
        ValueError: other shapes, or another reduction.

    Examples:
        >>> squared_error(jnp.zeros((1, 2, 2, 1)), jnp.ones((1, 2, 2, 1)), "sum").tolist()
        [1.0]
    """
    _check_images("logits", logits, target)
    return _reduce(jnp.square(jax.nn.sigmoid(logits) - target), _PIXELS, reduction)


def bernoulli_nll(logits: Array, target: Array, reduction: Reduction) -> Array:
    """-log Bernoulli(target; sigmoid(logits)) of each image in nats, reduced over its pixels.

    Computed from the logits, so that it is finite at any of them; an infinite one costs nothing
    where it is right. Arguments and result as in `squared_error`.

    Examples:
        >>> bernoulli_nll(jnp.full((1, 1, 1, 1), jnp.inf), jnp.ones((1, 1, 1, 1)), "sum").tolist()
        [0.0]
    """
    _check_images("logits", logits, target)
    is_right = jnp.isinf(logits) & (target == (logits > 0).astype(target.dtype))
    logits = jnp.where(is_right, jnp.sign(logits) * jnp.finfo(logits.dtype).max, logits)
    return _reduce(optax.sigmoid_binary_cross_entropy(logits, target), _PIXELS, reduction)


def squared_distance(mean: Array, target: Array, reduction: Reduction) -> Array:
    """(mean - target)^2 of each example, whatever values it has, reduced over them.

    Under `sum` this is -2 log N(target; mean, I) up to a constant.

    Args:
        mean: mean_BxHxWxC.
        target: target_BxHxWxC.
        reduction: over height, width and channels.

    Returns:
        error_B.

    Raises:
        ValueError: other shapes, or another reduction.

    Examples:
        >>> squared_distance(jnp.zeros((1, 1, 1, 2)), jnp.full((1, 1, 1, 2), 3.0), "mean").tolist()
        [9.0]
    """
    _check_images("mean", mean, target)
    return _reduce(jnp.square(mean - target), _PIXELS, reduction)


def normal_nll(mean: Array, target: Array, reduction: Reduction, *, logvar: Array) -> Array:
    """-log N(target; mean, exp(logvar)) of each example in nats, reduced over its values.

        (log 2 pi + logvar + (target - mean)^2 exp(-logvar)) / 2

    Args:
        mean, target, reduction: as in `squared_distance`.
        logvar: one for all values, (), or one for each, (H, W, C).

    Returns:
        nll_B.

    Raises:
        ValueError: other shapes, or another reduction.

    Examples:
        >>> zeros_1x1x1x2 = jnp.zeros((1, 1, 1, 2))
        >>> nll_B = normal_nll(zeros_1x1x1x2, zeros_1x1x1x2, "mean", logvar=jnp.zeros(()))
        >>> round(nll_B.item(), 4)  # log(2 pi) / 2
        0.9189
    """
    _check_images("mean", mean, target)
    if jnp.shape(logvar) not in ((), mean.shape[1:]):
        raise ValueError(f"logvar must have shape () or {mean.shape[1:]}, got {jnp.shape(logvar)}")
    logvar = jnp.broadcast_to(logvar, mean.shape)
    nll = 0.5 * (math.log(2 * math.pi) + logvar + jnp.square(target - mean) * jnp.exp(-logvar))
    return _reduce(nll, _PIXELS, reduction)


def gaussian_kl(mu_BxD: Array, logvar_BxD: Array, reduction: Reduction) -> Array:
    """KL(N(mu, exp(logvar)) || N(0, I)) of each example in nats, reduced over the latents.

    The paper takes it before the mask, so over all D dimensions (section 2.2).

    Returns:
        kl_B.

    Examples:
        >>> gaussian_kl(jnp.array([[2.0, 0.0]]), jnp.zeros((1, 2)), "sum").tolist()
        [2.0]
    """
    return _reduce(normal_kl(mu_BxD, logvar_BxD), (1,), reduction)


def masked_kl(
    mu_BxD: Array, logvar_BxD: Array, mask_BxD: Array, inactive: float, reduction: Reduction
) -> Array:
    """`gaussian_kl` with the entries that a mask sets to zero weighted by `inactive`.

        sum_d (m_d + inactive (1 - m_d)) KL(N(mu_d, sigma_d^2) || N(0, 1))

    1 is the paper's KL before the mask; 0 leaves the inactive entries free; above 1 they are pulled
    to the prior harder than the active ones. A mean is over all D latents whatever the mask.

    Returns:
        kl_B.

    Examples:
        >>> mu_BxD, mask_BxD = jnp.array([[2.0, 2.0]]), jnp.array([[1.0, 0.0]])
        >>> masked_kl(mu_BxD, jnp.zeros((1, 2)), mask_BxD, 0.0, "sum").tolist()
        [2.0]
    """
    check_batch(mu=mu_BxD, logvar=logvar_BxD, mask=mask_BxD)
    mask_BxD = jnp.asarray(mask_BxD, jnp.float32)
    weight_BxD = mask_BxD + inactive * (1.0 - mask_BxD)
    return _reduce(weighted_kl(weight_BxD, mu_BxD, logvar_BxD), (1,), reduction)


def spike_and_slab_kl(
    mu_BxD: Array,
    logvar_BxD: Array,
    gate_BxD: Array,
    rate: float | Array,
    reduction: Reduction,
    *,
    exact: bool = True,
) -> Array:
    """KL of a spike-and-slab posterior to a spike-and-slab prior, in nats.

    An entry is drawn from N(mu, sigma^2) with probability g and is zero otherwise; under the prior
    it is drawn from N(0, 1) with probability r and is zero otherwise:

        g KL(N(mu, sigma^2) || N(0, 1)) + g log(g / r) + (1 - g) log((1 - g) / (1 - r))

    Args:
        mu_BxD, logvar_BxD: of the slab.
        gate_BxD: g, in [0, 1].
        rate: r, in (0, 1), the share of latents that should be active; one number, or rate_1xD.
        reduction: over the latents.
        exact: False: the formula as it stands, with an absolute error of about 1e-7 per latent and
            no regard for what overflows where g is 0. So it is in `VSC`, where its value weighs in
            gradients and published figures rest on its bits.

    Returns:
        kl_B.

    Raises:
        ValueError: other shapes, another reduction, or a rate outside (0, 1) (not known while
            tracing).

    Examples:
        >>> zeros_BxD = jnp.zeros((1, 2))
        >>> spike_and_slab_kl(zeros_BxD, zeros_BxD, jnp.full((1, 2), 0.25), 0.25, "sum").tolist()
        [0.0]

    References:
        Tonolini, Jensen & Murray-Smith, "Variational Sparse Coding", UAI 2019, eq. 10.
    """
    check_batch(mu=mu_BxD, logvar=logvar_BxD, gate=gate_BxD)
    _check_rate(rate)
    gate_BxD = gate_BxD.astype(jnp.float32)
    if exact:
        slab_BxD = weighted_kl(gate_BxD, mu_BxD, logvar_BxD)
    else:
        slab_BxD = gate_BxD * element_kl(mu_BxD, mu_BxD, logvar_BxD)
    return _reduce(slab_BxD + bernoulli_kl(gate_BxD, rate, exact), (1,), reduction)


def batch_average(value_B: Array, valid_B: Array | None = None) -> Array:
    """The mean over the valid examples; NaN where there is none.

    Raises:
        ValueError: other shapes.

    Examples:
        >>> batch_average(jnp.array([1.0, 3.0, 99.0]), jnp.array([1, 1, 0])).item()
        2.0
    """
    if jnp.ndim(value_B) != 1 or not len(value_B):
        raise ValueError(f"value must have one axis, (B,), not empty, got {jnp.shape(value_B)}")
    check_valid(valid_B, value_B.shape[0])
    if valid_B is None:
        return jnp.mean(value_B)
    valid_B = valid_B.astype(bool)
    return jnp.sum(jnp.where(valid_B, value_B, 0.0)) / jnp.sum(valid_B, dtype=jnp.float32)


def _reduce(value: Array, axis: tuple[int, ...], reduction: Reduction) -> Array:
    return lookup("reduction", reduction, {"sum": jnp.sum, "mean": jnp.mean})(value, axis=axis)


def _check_rate(rate: float | Array) -> None:
    if isinstance(rate, jax.core.Tracer):
        return
    values = np.asarray(rate)
    if not np.all((values > 0) & (values < 1)):
        raise ValueError(f"rate must lie in (0, 1), got {rate}")


def _check_images(name: str, output: Array, target: Array) -> None:
    if jnp.ndim(output) != 4 or 0 in output.shape:
        raise ValueError(f"{name} must be (B, H, W, C), none of them 0, got shape {output.shape}")
    check_shape("target", target, name, output.shape)
