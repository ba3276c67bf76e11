"""Where generated codes come from."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.selection import apply_mask


def sample_prior(key: Array, n: int, frequency_D: Array) -> Array:
    """n codes from N(0, I), each dimension silenced where it is small, to be active as often as it
    is in training.

        z_d 1[|z_d| >= q_d],    z_d ~ N(0, 1),    P(|z_d| >= q_d) = frequency_d

    A selection by size passes the large entries of a dimension, so what it leaves of N(0, 1) are
    its tails. For a mask that all images share, the frequencies are ones and zeros.

    Args:
        key: typed key.
        n: how many codes.
        frequency_D: probability that a dimension is active.

    Examples:
        >>> codes_NxD = sample_prior(jax.random.key(0), 3, jnp.array([1.0, 0.0]))
        >>> (codes_NxD != 0).tolist()
        [[True, False], [True, False], [True, False]]
    """
    z_NxD = jax.random.normal(key, (n, frequency_D.shape[0]), jnp.float32)
    chance_D = 1.0 - 0.5 * jnp.clip(frequency_D, 0.0, 1.0)
    smallest_D = jax.scipy.stats.norm.ppf(chance_D).astype(jnp.float32)
    return apply_mask(z_NxD, jnp.abs(z_NxD) >= smallest_D[None, :])


def sample_normal(key: Array, mean_NxD: Array, std_NxD: Array, frequency_D: Array) -> Array:
    """Codes from N(mean, std^2), each entry silenced where it is small for its distribution, so
    that each dimension is active with its frequency.

        z 1[P(|z'| >= |z|) < frequency],    z, z' ~ N(mean, std^2)

    With a mean of 0 and a deviation of 1 it is `sample_prior`.

    Args:
        key: typed key.
        mean_NxD, std_NxD: of each entry.
        frequency_D: probability that a dimension is active.

    Examples:
        >>> zeros_NxD, ones_NxD = jnp.zeros((3, 2)), jnp.ones((3, 2))
        >>> frequency_D = jnp.array([1.0, 0.0])
        >>> codes_NxD = sample_normal(jax.random.key(0), zeros_NxD, ones_NxD, frequency_D)
        >>> (codes_NxD != 0).tolist()
        [[True, False], [True, False], [True, False]]
    """
    z_NxD = mean_NxD + std_NxD * jax.random.normal(key, mean_NxD.shape, jnp.float32)
    high_NxD, low_NxD = ((sign * jnp.abs(z_NxD) - mean_NxD) / std_NxD for sign in (1, -1))
    larger_NxD = jax.scipy.stats.norm.sf(high_NxD) + jax.scipy.stats.norm.cdf(low_NxD)
    return apply_mask(z_NxD, larger_NxD < frequency_D[None])


def sample_slots(key: Array, n: int, frequency_D: Array, k: int) -> Array:
    """n codes of N(0, 1) entries, of which one in each of k groups of D / k neighbours is not zero.

    Args:
        key: typed key.
        n: how many codes.
        frequency_D: how often each dimension is the one of its group, up to a factor.
        k: how many groups.

    Examples:
        >>> frequency_D = jnp.array([0.0, 1.0, 1.0, 0.0])
        >>> (sample_slots(jax.random.key(0), 2, frequency_D, k=2) != 0).tolist()
        [[False, True, True, False], [False, True, True, False]]
    """
    choice_key, value_key = jax.random.split(key)
    size = frequency_D.shape[0]
    log_KxS = jnp.log(jnp.maximum(frequency_D, 0.0)).reshape(k, -1)
    chosen_NxK = jax.random.categorical(choice_key, log_KxS, shape=(n, k))
    mask_NxKxS = jax.nn.one_hot(chosen_NxK, size // k, dtype=jnp.float32)
    values_NxD = jax.random.normal(value_key, (n, size), jnp.float32)
    return apply_mask(values_NxD, mask_NxKxS.reshape(n, size))


def sample_spike_and_slab(
    key: Array, rate_NxD: Array, mu_NxD: ArrayLike = 0.0, std_NxD: ArrayLike = 1.0
) -> Array:
    """Codes whose entries are N(mu, std^2) with probability `rate` and exact zeros otherwise.

    Examples:
        >>> sample_spike_and_slab(jax.random.key(0), jnp.array([[0.0, 1.0]]), 3.0, 0.0).tolist()
        [[0.0, 3.0]]
    """
    gate_key, eps_key = jax.random.split(key)
    active_NxD = jnp.asarray(jax.random.bernoulli(gate_key, rate_NxD))
    slab_NxD = jnp.asarray(
        mu_NxD + std_NxD * jax.random.normal(eps_key, rate_NxD.shape, jnp.float32)
    )
    return apply_mask(slab_NxD, active_NxD)


class Patterns(NamedTuple):
    """Supports seen in training, and what their active entries are like.

    Attributes:
        masks_PxD: which dimensions were active, a row an image.
        mean_D: mean of each dimension's active entries.
        std_D: their standard deviation.
    """

    masks_PxD: Array
    mean_D: Array
    std_D: Array


def fit_patterns(codes_NxD: np.ndarray) -> Patterns:
    """The patterns of the codes of training images.

    Examples:
        >>> fit_patterns(np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 2.0]])).mean_D.tolist()
        [2.0, 2.0]
    """
    codes_NxD = np.asarray(codes_NxD, np.float64)
    active_NxD = codes_NxD != 0
    count_D = np.maximum(active_NxD.sum(axis=0), 1)
    mean_D = codes_NxD.sum(axis=0) / count_D
    deviation_NxD = np.where(active_NxD, codes_NxD - mean_D, 0.0)
    std_D = np.sqrt(np.square(deviation_NxD).sum(axis=0) / count_D)
    return Patterns(*(jnp.asarray(x, jnp.float32) for x in (active_NxD, mean_D, std_D)))


def sample_patterns(key: Array, n: int, patterns: Patterns) -> Array:
    """n codes, each with the support of some training image and independent Gaussian values.

    The support is that of a training image, so that dimensions are active together as often as in
    training; the values of a dimension have the mean and the variance of its active entries.

    Examples:
        >>> patterns = fit_patterns(np.array([[1.0, 0.0], [0.0, 2.0]]))
        >>> codes_NxD = sample_patterns(jax.random.key(0), 99, patterns)
        >>> sorted(set(map(tuple, codes_NxD.tolist())))
        [(0.0, 2.0), (1.0, 0.0)]
    """
    choice_key, value_key = jax.random.split(key)
    row_N = jax.random.randint(choice_key, (n,), 0, len(patterns.masks_PxD))
    eps_NxD = jax.random.normal(value_key, (n, patterns.mean_D.shape[0]), jnp.float32)
    values_NxD = patterns.mean_D[None, :] + patterns.std_D[None, :] * eps_NxD
    return apply_mask(values_NxD, patterns.masks_PxD[row_N])


class Mixture(NamedTuple):
    """A Gaussian mixture over the dimensions in use.

    Attributes:
        weights_M: probability of each component.
        means_MxU: its mean.
        factors_MxUxU: lower Cholesky factor of its covariance.
        smallest_U: below this size a coordinate is silenced; 0 where it is active in every code.
        dims_U: which of the D dimensions the U coordinates are.
        latent_dim: D.
    """

    weights_M: Array
    means_MxU: Array
    factors_MxUxU: Array
    smallest_U: Array
    dims_U: np.ndarray
    latent_dim: int


# Shapes of the covariances and numbers of components, of which the codes choose one.
MIXTURES = (("full", 1), ("full", 3), ("full", 10), ("diag", 1), ("diag", 10), ("diag", 30))
_LEAST = 20


def fit_mixture(z_NxD: np.ndarray, *, seed: int = 0) -> Mixture:
    """Fits a mixture to the dimensions that are not all zero, by EM.

    An ex-post density: at a small beta the aggregate posterior is far from N(0, I), and samples of
    the prior then measure that distance more than the decoder. Its covariances are full or
    diagonal, of 1 to 30 components (`MIXTURES`): of those fitted to four fifths of the codes the
    one under which the last fifth is likeliest, which is then fitted to all. A full covariance of
    64 dimensions has 2,080 numbers, a diagonal one 64.

    A mixture has no zeros, so for a sparse model it is fitted to the latents before the mask
    (`Inference.latents`), and what is drawn from it goes through the mask again
    (`Inference.sparsify`). Where the latents have zeros nevertheless, because the model has no
    others, the smallest entries of a dimension are silenced, so that it is active as often as in
    them.

    Args:
        z_NxD: latents of training images; a dimension that is zero in all of them is left out.
        seed: of the fifth that is held out and of the k-means initialisations.

    Raises:
        ValueError: fewer than 20 latents.

    References:
        Ghosh et al., "From Variational to Deterministic Autoencoders", ICLR 2020 (ex-post density
        estimation). scikit-learn's `GaussianMixture` does the fitting.
    """
    from sklearn.mixture import GaussianMixture

    z_NxD = np.asarray(z_NxD, np.float64)
    if len(z_NxD) < _LEAST:
        raise ValueError(f"latents must be at least {_LEAST} to fit a mixture, got {len(z_NxD)}")
    dims_U = np.flatnonzero(np.any(z_NxD != 0, axis=0))
    z_NxU = np.random.default_rng(seed).permutation(z_NxD[:, dims_U])
    held_out = len(z_NxU) // 5

    def fit(shape: str, components: int, codes_NxU: np.ndarray) -> GaussianMixture:
        return GaussianMixture(
            components, covariance_type=shape, reg_covar=1e-6, max_iter=200, random_state=seed
        ).fit(codes_NxU)

    def likelihood(candidate: tuple[str, int]) -> float:
        return fit(*candidate, z_NxU[held_out:]).score(z_NxU[:held_out])

    best = max([x for x in MIXTURES if _LEAST * x[1] <= len(z_NxU)], key=likelihood)
    fitted = fit(*best, z_NxU)
    if best[0] == "full":
        factors_MxUxU = np.linalg.cholesky(fitted.covariances_)
    else:
        factors_MxUxU = np.sqrt(fitted.covariances_)[:, :, None] * np.eye(len(dims_U))
    std_MxU = np.linalg.norm(factors_MxUxU, axis=2)
    frequency_U = np.mean(z_NxU != 0, axis=0)
    smallest_U = _quantile(1.0 - frequency_U, fitted.weights_, fitted.means_, std_MxU)
    return Mixture(
        weights_M=jnp.asarray(fitted.weights_, jnp.float32),
        means_MxU=jnp.asarray(fitted.means_, jnp.float32),
        factors_MxUxU=jnp.asarray(factors_MxUxU, jnp.float32),
        smallest_U=jnp.asarray(smallest_U, jnp.float32),
        dims_U=dims_U,
        latent_dim=z_NxD.shape[1],
    )


def _quantile(
    share_U: np.ndarray, weights_M: np.ndarray, means_MxU: np.ndarray, std_MxU: np.ndarray
) -> np.ndarray:
    """size_U below which |z| lies with that probability, by bisection."""
    from scipy.stats import norm

    low_U = np.zeros(len(share_U))
    high_U = np.max(np.abs(means_MxU) + 10 * std_MxU, axis=0)
    for _ in range(50):
        size_U = (low_U + high_U) / 2
        ends = [norm.cdf(sign * size_U, means_MxU, std_MxU) for sign in (1, -1)]
        is_below_U = weights_M @ (ends[0] - ends[1]) < share_U
        low_U, high_U = np.where(is_below_U, size_U, low_U), np.where(is_below_U, high_U, size_U)
    return np.where(share_U > 0, high_U, 0.0)


def sample_mixture(key: Array, n: int, mixture: Mixture) -> Array:
    """n latents from the mixture, zero in the dimensions that it leaves out, and where it silences
    an entry."""
    choice_key, eps_key = jax.random.split(key)
    component_N = jax.random.categorical(choice_key, jnp.log(mixture.weights_M), shape=(n,))
    eps_NxU = jax.random.normal(eps_key, (n, mixture.means_MxU.shape[1]), jnp.float32)
    offset_NxU = jnp.einsum("nij,nj->ni", mixture.factors_MxUxU[component_N], eps_NxU)
    z_NxU = mixture.means_MxU[component_N] + offset_NxU
    z_NxU = apply_mask(z_NxU, jnp.abs(z_NxU) >= mixture.smallest_U[None])
    return jnp.zeros((n, mixture.latent_dim), jnp.float32).at[:, mixture.dims_U].set(z_NxU)
