"""Where generated codes come from."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.selection import apply_mask


def sample_prior(key: Array, n: int, mask_D: Array) -> Array:
    """n codes from N(0, I) on the dimensions of the mask, zero on the others.

    Examples:
        >>> sample_prior(jax.random.key(0), 3, jnp.array([1.0, 0.0])).shape
        (3, 2)
    """
    return apply_mask(jax.random.normal(key, (n, mask_D.shape[0])), mask_D)


class Mixture(NamedTuple):
    """A Gaussian mixture over the active dimensions of a code.

    Attributes:
        weights_M: probability of each component.
        means_MxK: its mean.
        factors_MxKxK: lower Cholesky factor of its covariance.
        active_dims_K: which of the D dimensions the K coordinates are.
        latent_dim: D.
    """

    weights_M: Array
    means_MxK: Array
    factors_MxKxK: Array
    active_dims_K: np.ndarray
    latent_dim: int


def fit_mixture(
    codes_NxD: np.ndarray, active_dims_K: np.ndarray, *, components: int = 10, seed: int = 0
) -> Mixture:
    """Fits a mixture with full covariances to the active dimensions of the codes, by EM.

    An ex-post density: at a small beta the aggregate posterior is far from N(0, I), and samples of
    the prior then measure that distance more than the decoder.

    Args:
        codes_NxD: codes of training images.
        active_dims_K: indices of the dimensions that the decoder sees.
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
    codes_NxK = np.asarray(codes_NxD, np.float64)[:, active_dims_K]
    fitted = GaussianMixture(
        components, covariance_type="full", reg_covar=1e-6, max_iter=200, random_state=seed
    ).fit(codes_NxK)
    return Mixture(
        weights_M=jnp.asarray(fitted.weights_, jnp.float32),
        means_MxK=jnp.asarray(fitted.means_, jnp.float32),
        factors_MxKxK=jnp.asarray(np.linalg.cholesky(fitted.covariances_), jnp.float32),
        active_dims_K=np.asarray(active_dims_K),
        latent_dim=codes_NxD.shape[1],
    )


def sample_mixture(key: Array, n: int, mixture: Mixture) -> Array:
    """n codes from the mixture, zero on the dimensions that it does not cover."""
    choice_key, eps_key = jax.random.split(key)
    component_N = jax.random.categorical(choice_key, jnp.log(mixture.weights_M), shape=(n,))
    eps_NxK = jax.random.normal(eps_key, (n, mixture.means_MxK.shape[1]))
    offset_NxK = jnp.einsum("nkj,nj->nk", mixture.factors_MxKxK[component_N], eps_NxK)
    codes_NxD = jnp.zeros((n, mixture.latent_dim))
    return codes_NxD.at[:, mixture.active_dims_K].set(mixture.means_MxK[component_N] + offset_NxK)
