"""PCA, against the singular value decomposition."""

import jax
import numpy as np

from experiments.study.pca import PCA
from vae_topk_jax.data import to_unit_float


def test_pca_keeps_what_k_components_can(blobs):
    x = to_unit_float(blobs.train_images)
    flat = x.reshape(len(x), -1).astype(np.float64)
    mean = flat.mean(0)
    u, s, vt = np.linalg.svd(flat - mean, full_matrices=False)
    expected = (u[:, :3] * s[:3]) @ vt[:3] + mean
    pca = PCA(x, 3)
    reconstructed = pca.reconstruct(x)
    np.testing.assert_allclose(
        reconstructed.reshape(len(x), -1), np.clip(expected, 0, 1), atol=1e-4
    )
    np.testing.assert_allclose(np.cov(pca.encode(x).T), np.eye(3), atol=1e-3)
    assert pca.generate(jax.random.key(0), 4).shape == (4, 12, 12, 1)
