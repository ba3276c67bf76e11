"""No test finds what another has decoded."""

from pathlib import Path

import pytest

from vae_topk_jax.files import CACHE_VARIABLE


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    """A cache of its own for every test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    return folder
