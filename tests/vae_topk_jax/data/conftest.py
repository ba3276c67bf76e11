"""No setting of the user reaches these tests; small arrays pass for MNIST."""

import logging

import pytest

from tests.helpers.idx_files import ARRAYS, pass_for_mnist
from vae_topk_jax.data import cache, sources


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for variable in (sources.DATA_VARIABLE, cache.CACHE_VARIABLE):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def small_mnist(monkeypatch) -> None:
    """Lets ARRAYS pass for the original MNIST."""
    pass_for_mnist(monkeypatch, ARRAYS)


@pytest.fixture
def lines(monkeypatch, caplog) -> list[str]:
    """The messages of the data package's logger, as they come."""
    caplog.set_level(logging.INFO, logger="vae_topk_jax.data")
    messages: list[str] = []
    monkeypatch.setattr(caplog.handler, "emit", lambda record: messages.append(record.getMessage()))
    return messages
