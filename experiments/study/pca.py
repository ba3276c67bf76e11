"""What a sparse model must beat: principal components, with the interface of a trained model."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.priors.independent import sample_prior


class PCA:
    """Principal components as an encoder and a decoder; codes are whitened, so N(0, I) fits them.

    Attributes:
        active_dims: all D.
    """

    def __init__(self, images_NxHxWxC: np.ndarray, components: int):
        """Fits `components` principal components to float images."""
        from sklearn import decomposition

        self._image_shape = images_NxHxWxC.shape[1:]
        self._pca = decomposition.PCA(components, whiten=True, svd_solver="covariance_eigh")
        self._pca.fit(images_NxHxWxC.reshape(len(images_NxHxWxC), -1))
        self.active_dims = np.arange(components)

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Whitened scores (N, D)."""
        return self._pca.transform(np.asarray(x).reshape(len(x), -1))

    def latents(self, x: np.ndarray) -> np.ndarray:
        """The codes themselves."""
        return self.encode(x)

    def sparsify(self, z: Array) -> Array:
        """z itself."""
        return z

    def decode(self, z: Array | np.ndarray) -> np.ndarray:
        """Images, clipped to [0, 1]."""
        flat = self._pca.inverse_transform(np.asarray(z))
        return np.clip(flat, 0.0, 1.0).astype(np.float32).reshape(-1, *self._image_shape)

    def reconstruct(self, x: np.ndarray) -> np.ndarray:
        """decode(encode(x))."""
        return self.decode(self.encode(x))

    def generate(self, key: Array, n: int) -> np.ndarray:
        """n images decoded from N(0, I)."""
        return self.decode(sample_prior(key, n, jnp.ones(len(self.active_dims))))
