"""What several tests of the package start from."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def sparse_codes() -> np.ndarray:
    """Correlated Gaussians of eight latents, one of them unused, of which each code keeps two."""
    rng = np.random.default_rng(1)
    dense = rng.normal(size=(2000, 8)) @ rng.normal(size=(8, 8))
    dense[:, 5] = 0
    size = np.abs(dense)
    return np.where(size >= np.sort(size, axis=1)[:, -2, None], dense, 0).astype(np.float32)
