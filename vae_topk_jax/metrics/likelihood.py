"""How probable a VAE finds its images, in nats an image."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.losses import bernoulli_nll, gaussian_kl

CHUNK = 500  # images at once; samples are drawn one after the other, so memory does not grow by S


class Bounds(NamedTuple):
    """Lower bounds of log p(x), one an image, in nats, float64.

    Attributes:
        elbo_N: the evidence lower bound, from S samples.
        importance_N: the importance-weighted bound of S samples, the tighter one.
        kl_N: KL of the posterior to N(0, I): what the ELBO pays for the code.
    """

    elbo_N: np.ndarray
    importance_N: np.ndarray
    kl_N: np.ndarray


def likelihood_bounds(
    posterior: Callable[[Any, Array], tuple[Array, Array]],
    logits: Callable[[Any, Array], Array],
    variables: Any,
    x_NxHxWxC: np.ndarray | Array,
    key: Array,
    *,
    samples: int = 500,
) -> Bounds:
    """The ELBO and the importance-weighted bound of a VAE with a Bernoulli likelihood.

        ELBO  = E log p(x|z) - KL(q(z|x) || p(z))
        bound = E log 1/S sum_s p(x|z_s) p(z_s) / q(z_s|x),    z_s ~ q(z|x),  p(z) = N(0, I)

    The bound of one sample is the ELBO in expectation; it grows with S and tends to log p(x). Of
    pixels that are 0 or 1 these are likelihoods; of grey ones the cross-entropy takes the place of
    -log p(x|z), as is usual, and the figure is of use beside others of the same images alone.

    Args:
        posterior: (variables, x) -> mu_BxD, logvar_BxD; of a dense VAE,
            `functools.partial(model.apply, method="posterior")`.
        logits: (variables, z) -> logits_BxHxWxC;
            `functools.partial(model.apply, method=lambda vae, z: vae.decoder(z))`.
        variables: what both take.
        x_NxHxWxC: images in [0, 1].
        key: typed key.
        samples: S.

    Raises:
        ValueError: samples below 1, another shape, or values outside [0, 1].

    Examples:
        >>> certain = lambda _, x: (jnp.zeros((len(x), 2)), jnp.zeros((len(x), 2)))
        >>> coin = lambda _, z: jnp.zeros((len(z), 1, 3, 1))
        >>> bounds = likelihood_bounds(certain, coin, {}, jnp.ones((1, 1, 3, 1)), jax.random.key(0))
        >>> bounds.importance_N.round(4).tolist()  # three fair coins
        [-2.0794]

    References:
        Burda, Grosse & Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016, eq. 8.
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}")
    x_NxHxWxC = jnp.asarray(x_NxHxWxC, jnp.float32)
    if x_NxHxWxC.ndim != 4 or len(x_NxHxWxC) == 0:
        raise ValueError(f"images must be (N, H, W, C), N >= 1, got shape {x_NxHxWxC.shape}")
    if not jnp.all((x_NxHxWxC >= 0) & (x_NxHxWxC <= 1)):
        low, high = float(jnp.min(x_NxHxWxC)), float(jnp.max(x_NxHxWxC))
        raise ValueError(f"images must lie in [0, 1], got {low:g} to {high:g}")

    @jax.jit
    def of_chunk(variables: Any, x_BxHxWxC: Array, key: Array) -> tuple[Array, Array, Array]:
        mu_BxD, logvar_BxD = posterior(variables, x_BxHxWxC)

        def draw(_: None, key: Array) -> tuple[None, tuple[Array, Array]]:
            eps_BxD = jax.random.normal(key, mu_BxD.shape)
            z_BxD = mu_BxD + jnp.exp(0.5 * logvar_BxD) * eps_BxD
            log_p_B = -bernoulli_nll(logits(variables, z_BxD), x_BxHxWxC, "sum")
            # log p(z) - log q(z|x); the constants cancel
            log_ratio_BxD = 0.5 * (logvar_BxD + jnp.square(eps_BxD) - jnp.square(z_BxD))
            return None, (log_p_B, log_p_B + jnp.sum(log_ratio_BxD, axis=1))

        _, (log_p_SxB, log_w_SxB) = jax.lax.scan(draw, None, jax.random.split(key, samples))
        kl_B = gaussian_kl(mu_BxD, logvar_BxD, "sum")
        bound_B = jax.scipy.special.logsumexp(log_w_SxB, axis=0) - math.log(samples)
        return jnp.mean(log_p_SxB, axis=0) - kl_B, bound_B, kl_B

    chunks = [
        of_chunk(variables, x_NxHxWxC[start : start + CHUNK], jax.random.fold_in(key, start))
        for start in range(0, len(x_NxHxWxC), CHUNK)
    ]
    return Bounds(
        *(np.concatenate(parts).astype(np.float64) for parts in zip(*chunks, strict=True))
    )
