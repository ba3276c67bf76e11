"""A Gaussian mixture of the latents before the mask."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.priors.prior import Examples, Prior, choose, seed_of
from vae_topk_jax.selection import apply_mask

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

# Shapes of the covariances and numbers of components, of which the latents choose one.
CANDIDATES = (("full", 1), ("full", 3), ("full", 10), ("diag", 1), ("diag", 10), ("diag", 30))
_LEAST = 20


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Mixture(Prior):
    """A Gaussian mixture of the latents that are not all zero, fitted by EM, to each class apart.

    An ex-post density: at a small beta the aggregate posterior is far from N(0, I), and samples of
    the prior then measure that distance more than the decoder. Its covariances are full or
    diagonal, of 1 to 30 components (`CANDIDATES`): of those fitted to four fifths of the latents
    the one under which the last fifth is likeliest, which is then fitted to all. A full covariance
    of 64 dimensions has 2,080 numbers, a diagonal one 64.

    A mixture has no zeros, so it is fitted to the latents before the mask, and what is drawn from
    it goes through the mask again (`Inference.sparsify`). Where the latents have zeros
    nevertheless, because the model has no others, the smallest entries of a latent are silenced, so
    that it is active as often as in them.

    Attributes:
        share_YxM: probability of each class and component.
        means_MxU: its mean, over the latents in use.
        factors_MxUxU: lower Cholesky factor of its covariance.
        smallest_U: below this size an entry is silenced; 0 where it is active in every example.
        used_U: which of the D latents are in use.
        unused_E: which are not.

    References:
        Ghosh et al., "From Variational to Deterministic Autoencoders", ICLR 2020 (ex-post density
        estimation). scikit-learn's `GaussianMixture` does the fitting.
    """

    before_mask: ClassVar[bool] = True

    share_YxM: Array
    means_MxU: Array
    factors_MxUxU: Array
    smallest_U: Array
    used_U: Array
    unused_E: Array

    def shares(self) -> Array:
        """share_Y."""
        return jnp.sum(self.share_YxM, axis=1)

    @classmethod
    def fit(cls, examples: Examples, key: Array) -> Self:
        """The mixture of the latents before the mask.

        Args:
            examples: 20 of each class or more; a latent that is zero in all of them is left out.
            key: of the fifth that is held out and of the k-means initialisations.

        Raises:
            ValueError: fewer than 20.
        """
        from scipy.linalg import block_diag

        z_NxD = np.asarray(examples.latents_NxD, np.float64)
        if (fewest := min(np.bincount(examples.class_N).tolist())) < _LEAST:
            of_each = " of each class" if examples.classes > 1 else ""
            raise ValueError(
                f"latents{of_each} must be at least {_LEAST} to fit a mixture, got {fewest}"
            )
        is_used_D = np.any(z_NxD != 0, axis=0)
        z_NxU = z_NxD[:, is_used_D]
        parts = [
            _Gaussians.of(z_NxU[examples.class_N == y], seed_of(key))
            for y in range(examples.classes)
        ]
        weights, means, factors = zip(*parts, strict=True)
        share_YxM = block_diag(*weights) * examples.share_Y[:, None]
        means_MxU, factors_MxUxU = np.concatenate(means), np.concatenate(factors)
        std_MxU = np.linalg.norm(factors_MxUxU, axis=2)
        silent_U = np.mean(z_NxU == 0, axis=0)
        smallest_U = _quantile(silent_U, share_YxM.sum(axis=0), means_MxU, std_MxU)
        floats = (share_YxM, means_MxU, factors_MxUxU, smallest_U)
        places = (np.flatnonzero(is_used_D), np.flatnonzero(~is_used_D))
        return cls(
            *(jnp.asarray(x, jnp.float32) for x in floats),
            *(jnp.asarray(x, jnp.int32) for x in places),
        )

    def sample(self, key: Array, class_N: Array) -> Array:
        """Latents, zero where the mixture leaves them out and where it silences an entry."""
        choice_key, eps_key = jax.random.split(key)
        component_N = choose(choice_key, self.share_YxM, class_N)
        eps_NxU = jax.random.normal(eps_key, (len(class_N), len(self.used_U)), jnp.float32)
        offset_NxU = jnp.einsum("nij,nj->ni", self.factors_MxUxU[component_N], eps_NxU)
        z_NxU = self.means_MxU[component_N] + offset_NxU
        z_NxU = apply_mask(z_NxU, jnp.abs(z_NxU) >= self.smallest_U[None])
        size = len(self.used_U) + len(self.unused_E)
        return jnp.zeros((len(class_N), size), jnp.float32).at[:, self.used_U].set(z_NxU)


class _Gaussians(NamedTuple):
    """The components of one class."""

    weights_M: np.ndarray
    means_MxU: np.ndarray
    factors_MxUxU: np.ndarray

    @classmethod
    def of(cls, z_NxU: np.ndarray, seed: int) -> Self:
        """Those of the likeliest of the candidates."""
        shape, fitted = _best(np.random.default_rng(seed).permutation(z_NxU), seed)
        if shape == "full":
            factors_MxUxU = np.linalg.cholesky(fitted.covariances_)
        else:
            factors_MxUxU = np.sqrt(fitted.covariances_)[:, :, None] * np.eye(z_NxU.shape[1])
        return cls(fitted.weights_, fitted.means_, factors_MxUxU)


def _best(z_NxU: np.ndarray, seed: int) -> "tuple[str, GaussianMixture]":
    """The shape of the covariances and the mixture that was chosen, fitted to all."""
    from sklearn.mixture import GaussianMixture

    held_out = len(z_NxU) // 5

    def fit(shape: str, components: int, z_NxU: np.ndarray) -> GaussianMixture:
        return GaussianMixture(
            components, covariance_type=shape, reg_covar=1e-6, max_iter=200, random_state=seed
        ).fit(z_NxU)

    def likelihood(candidate: tuple[str, int]) -> float:
        return fit(*candidate, z_NxU[held_out:]).score(z_NxU[:held_out])

    best = max([x for x in CANDIDATES if _LEAST * x[1] <= len(z_NxU)], key=likelihood)
    return best[0], fit(*best, z_NxU)


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
