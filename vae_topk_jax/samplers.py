"""Where generated codes come from."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.selection import apply_mask


def sample_prior(key: Array, n: int, frequency_D: Array) -> Array:
    """n codes from the prior that a sparse model was trained to: a spike and a slab.

    Each dimension is active with its own probability and then N(0, 1), else zero. For a mask that
    all images share, the probabilities are ones and zeros.

    Args:
        key: typed key.
        n: how many codes.
        frequency_D: probability that a dimension is active.

    Examples:
        >>> codes_NxD = sample_prior(jax.random.key(0), 3, jnp.array([1.0, 0.0]))
        >>> (codes_NxD != 0).tolist()
        [[True, False], [True, False], [True, False]]
    """
    support_key, value_key = jax.random.split(key)
    shape = (n, frequency_D.shape[0])
    active_NxD = jax.random.uniform(support_key, shape) < frequency_D[None, :]
    return apply_mask(jax.random.normal(value_key, shape), active_NxD)


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

    Supports come whole, so that dimensions are active together as often as in training; the values
    of a dimension have the mean and the variance of its active entries.

    Examples:
        >>> patterns = fit_patterns(np.array([[1.0, 0.0], [0.0, 2.0]]))
        >>> codes_NxD = sample_patterns(jax.random.key(0), 99, patterns)
        >>> sorted(set(map(tuple, codes_NxD.tolist())))
        [(0.0, 2.0), (1.0, 0.0)]
    """
    choice_key, value_key = jax.random.split(key)
    row_N = jax.random.randint(choice_key, (n,), 0, len(patterns.masks_PxD))
    eps_NxD = jax.random.normal(value_key, (n, patterns.mean_D.shape[0]))
    values_NxD = patterns.mean_D[None, :] + patterns.std_D[None, :] * eps_NxD
    return apply_mask(values_NxD, patterns.masks_PxD[row_N])


class Mixture(NamedTuple):
    """A Gaussian mixture over the dimensions in use, made sparse again.

    Attributes:
        weights_M: probability of each component.
        means_MxU: its mean.
        factors_MxUxU: lower Cholesky factor of its covariance.
        floor_U: below this magnitude an entry of the dimension is zero.
        dims_U: which of the D dimensions the U coordinates are.
        latent_dim: D.
    """

    weights_M: Array
    means_MxU: Array
    factors_MxUxU: Array
    floor_U: Array
    dims_U: np.ndarray
    latent_dim: int


def fit_mixture(codes_NxD: np.ndarray, *, components: int = 10, seed: int = 0) -> Mixture:
    """Fits a mixture with full covariances to the dimensions that the codes use, by EM.

    A mixture has no zeros: of each dimension as many of the smallest entries are cut off as were
    zero in the codes.

    An ex-post density: at a small beta the aggregate posterior is far from N(0, I), and samples of
    the prior then measure that distance more than the decoder.

    Args:
        codes_NxD: codes of training images; a dimension that is zero in all of them is left out.
        components: M.
        seed: of the k-means initialisation.

    Raises:
        ValueError: fewer codes than components.

    References:
        Ghosh et al., "From Variational to Deterministic Autoencoders", ICLR 2020 (ex-post density
        estimation, 10 components). scikit-learn's `GaussianMixture` does the fitting.
    """
    from sklearn.mixture import GaussianMixture

    if len(codes_NxD) < components:
        raise ValueError(
            f"codes must be at least as many as the {components} components, got {len(codes_NxD)}"
        )
    dims_U = np.flatnonzero(np.any(np.asarray(codes_NxD) != 0, axis=0))
    codes_NxU = np.asarray(codes_NxD, np.float64)[:, dims_U]
    fitted = GaussianMixture(
        components, covariance_type="full", reg_covar=1e-6, max_iter=200, random_state=seed
    ).fit(codes_NxU)
    mixture = Mixture(
        weights_M=jnp.asarray(fitted.weights_, jnp.float32),
        means_MxU=jnp.asarray(fitted.means_, jnp.float32),
        factors_MxUxU=jnp.asarray(np.linalg.cholesky(fitted.covariances_), jnp.float32),
        floor_U=jnp.zeros(len(dims_U)),
        dims_U=dims_U,
        latent_dim=codes_NxD.shape[1],
    )
    drawn_NxU = np.abs(_sample_dense(jax.random.key(seed), len(codes_NxU), mixture))
    idle_U = np.mean(codes_NxU == 0, axis=0)
    floor_U = [
        np.quantile(drawn_N, idle) if idle else 0.0
        for drawn_N, idle in zip(drawn_NxU.T, idle_U, strict=True)
    ]
    return mixture._replace(floor_U=jnp.asarray(floor_U, jnp.float32))


def sample_mixture(key: Array, n: int, mixture: Mixture) -> Array:
    """n codes from the mixture, each dimension active as often as in the codes it was fitted to."""
    codes_NxU = _sample_dense(key, n, mixture)
    codes_NxU = apply_mask(codes_NxU, jnp.abs(codes_NxU) >= mixture.floor_U[None, :])
    return jnp.zeros((n, mixture.latent_dim)).at[:, mixture.dims_U].set(codes_NxU)


def _sample_dense(key: Array, n: int, mixture: Mixture) -> Array:
    """codes_NxU without zeros."""
    choice_key, eps_key = jax.random.split(key)
    component_N = jax.random.categorical(choice_key, jnp.log(mixture.weights_M), shape=(n,))
    eps_NxU = jax.random.normal(eps_key, (n, mixture.means_MxU.shape[1]))
    offset_NxU = jnp.einsum("nij,nj->ni", mixture.factors_MxUxU[component_N], eps_NxU)
    return mixture.means_MxU[component_N] + offset_NxU
