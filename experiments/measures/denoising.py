"""Reconstruction of noisy images by likelihood: the code that best explains what is seen.

An encoder that was trained on clean images knows nothing of noise. The decoder and a description of
its training codes do not need to: with x = clip(decode(z) + sigma eps, 0, 1), the code is sought
that lowers

    |x - E[x | z, sigma]|^2 + V sum_active ((z_d - m_d) / s_d)^2,

where V is the mean variance of a pixel given z, and m_d and s_d are mean and standard deviation of
a dimension's active training codes. The search starts at the encoder's code or at that of a
training image, whichever explains the image best, and goes on by `vae_topk_jax.refinement`. sigma
is no input: it is what makes V agree with the squared error, estimated anew in each pass.

What this gains is the inference's, not the sparsity's: it serves the dense model as well, and the
label of the nearest raw training image needs no model at all.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.measures.nearest import nearest
from vae_topk_jax.inference import Inference
from vae_topk_jax.inference_inputs import REFINED_CHUNK, in_chunks
from vae_topk_jax.priors.analog_bits import active_moments
from vae_topk_jax.refinement import Decoder, Objective, improved

PASSES = 4
BANK = 10_000  # training images whose codes are tried as a start
_FIRST_SIGMA = 0.3
_SIGMAS = (0.02, 2.0)


class Seen(NamedTuple):
    """Mean and variance of a pixel that is seen through noise."""

    mean: Array
    variance: Array


def seen_through_noise(mean: Array, sigma: Array, clip: bool) -> Seen:
    """What remains of a pixel after noise of that sigma, clipped to [0, 1] if asked.

    Examples:
        >>> seen = seen_through_noise(jnp.zeros(()), jnp.ones(()), clip=False)
        >>> seen.mean.item(), seen.variance.item()
        (0.0, 1.0)
        >>> round(seen_through_noise(jnp.zeros(()), jnp.array(0.1), clip=True).mean.item(), 4)
        0.0399
    """
    if not clip:
        return Seen(mean, jnp.broadcast_to(jnp.square(sigma), mean.shape))
    low, high = -mean / sigma, (1.0 - mean) / sigma
    cdf, pdf = jax.scipy.stats.norm.cdf, jax.scipy.stats.norm.pdf
    inside, above = cdf(high) - cdf(low), 1.0 - cdf(high)
    first = mean * inside + sigma * (pdf(low) - pdf(high)) + above
    square = (jnp.square(mean) + jnp.square(sigma)) * inside + above
    square += sigma * (mean * pdf(low) - (1.0 + mean) * pdf(high))
    return Seen(first, square - jnp.square(first))


class LikelihoodInference:
    """A trained model whose codes are found by likelihood.

    Args:
        inference: a model with a decoder network and inputs in [0, 1].
        images: training images, of which the first 10,000 count.
        clip: whether the noise was clipped.
    """

    def __init__(self, inference: Inference, images: np.ndarray, clip: bool):
        bank_NxD = np.asarray(inference.encode(images[:BANK]))
        mean_D, std_D = (jnp.asarray(x, jnp.float32) for x in active_moments(bank_NxD))
        self._inference, self._clip = inference, clip
        self._bank_NxD = jnp.asarray(bank_NxD)
        self._decoded_NxP = np.asarray(inference.decode(bank_NxD)).reshape(len(bank_NxD), -1)
        self._precision_D = 1.0 / jnp.maximum(jnp.square(std_D), 1e-4)
        self._mean_D = mean_D
        self._search = jax.jit(self._searched)

    def encode(self, noisy: np.ndarray) -> np.ndarray:
        """Codes (N, D) of noisy images."""
        starts_NxD = self._starts(noisy)
        both = np.concatenate([noisy.reshape(len(noisy), -1), starts_NxD], axis=1)
        size = noisy[0].size

        def search(chunk: Array, start: int) -> Array:
            x_BxHxWxC = chunk[:, :size].reshape(-1, *noisy.shape[1:])
            return self._search(self._inference.variables, x_BxHxWxC, chunk[:, size:])

        return np.asarray(in_chunks(search, both, REFINED_CHUNK))

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Images without noise (N, H, W, C) of codes."""
        return np.asarray(self._inference.decode(codes))

    def _starts(self, noisy: np.ndarray) -> np.ndarray:
        """The encoder's own code, or that of the bank which explains the image better."""
        own_NxD = np.asarray(self._inference.encode(noisy))
        own = np.asarray(self._inference.decode(own_NxD)).reshape(len(noisy), -1)
        see = functools.partial(
            seen_through_noise, sigma=jnp.float32(_FIRST_SIGMA), clip=self._clip
        )
        flat = noisy.reshape(len(noisy), -1)
        index_N, error_N = nearest(flat, np.asarray(see(jnp.asarray(self._decoded_NxP)).mean))
        own_error_N = np.sum(np.square(flat - np.asarray(see(jnp.asarray(own)).mean)), axis=1)
        is_better_N = error_N < own_error_N
        return np.where(is_better_N[:, None], np.asarray(self._bank_NxD)[index_N], own_NxD)

    def _searched(self, variables: dict, x_BxHxWxC: Array, start_BxD: Array) -> Array:
        model: Any = self._inference.model
        decode: Decoder = functools.partial(model.apply, variables, method="decode")
        ones = jnp.ones(x_BxHxWxC.shape[1:], jnp.float32)

        def see(z_D: Array, sigma: Array) -> Seen:
            return seen_through_noise(decode(z_D[None])[0], sigma, self._clip)

        def estimate(x: Array, z_D: Array, sigma: Array) -> Array:
            seen = see(z_D, sigma)
            ratio = jnp.mean(jnp.square(x - seen.mean)) / jnp.mean(seen.variance)
            return jnp.clip(sigma * jnp.sqrt(ratio), *_SIGMAS)

        def of_image(x: Array, z_D: Array) -> Array:
            is_active_D = z_D != 0 if model.is_sparse else jnp.ones(z_D.shape, bool)

            def one_pass(_: int, state: tuple) -> tuple:
                z_D, active_D, sigma = state
                for _ in range(3):
                    sigma = estimate(x, z_D, sigma)
                precision_D = jnp.mean(see(z_D, sigma).variance) * self._precision_D
                objective = Objective(ones, precision_D, self._mean_D)

                def through(z_BxD: Array) -> Array:
                    return seen_through_noise(decode(z_BxD), sigma, self._clip).mean

                z_D, active_D = improved(through, objective, x, z_D, active_D, model.swaps())
                return z_D, active_D, sigma

            first = (z_D, is_active_D, jnp.float32(_FIRST_SIGMA))
            return jax.lax.fori_loop(0, PASSES, one_pass, first)[0]

        return jax.vmap(of_image)(x_BxHxWxC, start_BxD)
