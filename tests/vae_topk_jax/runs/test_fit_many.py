"""Several models in one call: those of `fit`, what may differ between them, what is refused."""

import logging

import jax
import numpy as np
import pytest

from tests.helpers.runs import SMALL, bits
from vae_topk_jax import fit, fit_many
from vae_topk_jax.data.rows import Rows
from vae_topk_jax.group import check_memory
from vae_topk_jax.nonfinite import NonFiniteError
from vae_topk_jax.sharding import make_mesh

TINY = SMALL.replace(epochs=2, batch_size=8, widths=(8,), optimizer="sgd", classes=2)
LABELS = np.arange(16) % 2
SWEEP = (TINY, TINY.replace(seed=3, learning_rate=1e-4, beta=0.5))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (16, 4, 4), np.uint8)


@pytest.fixture(scope="module")
def alone(images) -> list[bytes]:
    """The state of the second configuration, trained by `fit`."""
    return bits(fit(images, SWEEP[1], labels=LABELS, progress=False).state)


@pytest.mark.long
def test_a_model_has_the_bits_of_its_configuration_alone(images, alone):
    models = fit_many(images, SWEEP, labels=LABELS)
    assert tuple(model.config for model in models) == SWEEP
    assert bits(models[1].state) == alone


@pytest.mark.long
def test_devices_share_out_models_and_need_not_divide_them(images, alone):
    models = fit_many(images, (SWEEP[1], *SWEEP), labels=LABELS, progress=False, mesh=make_mesh())
    assert [bits(model.state) == alone for model in models] == [True, False, True]
    assert all(leaf.devices() == {jax.devices()[0]} for leaf in jax.tree.leaves(models[2].state))


def test_each_configuration_is_trained_with_each_seed(images, monkeypatch):
    given = []
    monkeypatch.setattr("vae_topk_jax.runs.fit_many.TrainerGroup", lambda *args: given.append(args))
    with pytest.raises(AttributeError):
        fit_many(images, SWEEP, seeds=range(2), progress=False)
    ((configs, image_shape, count, mesh),) = given
    assert [(config.beta, config.seed) for config in configs] == [
        *[(TINY.beta, 0), (TINY.beta, 1)],
        *[(0.5, 0), (0.5, 1)],
    ]
    assert (image_shape, count, mesh) == ((4, 4, 1), 16, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"configs": (TINY, TINY.replace(k=1))}, "configs must agree in k to be trained together"),
        ({"configs": (TINY, TINY.replace(epochs=1))}, "agree in epochs .*, got 2 and 1"),
        ({"configs": (TINY, TINY.replace(model="vae"))}, "configs must agree in model"),
        ({"configs": ()}, "configs must be one configuration at least"),
        ({"seeds": ()}, "seeds must be one at least"),
        ({}, "labels must be given with classes 2"),
        ({"patience": 0}, "patience must be at least 1, got 0"),
        ({"mesh": make_mesh(model=2)}, "mesh must have the runs along 'data'"),
    ],
)
def test_what_cannot_be_trained_together_is_refused(images, options, message):
    with pytest.raises(ValueError, match=message):
        fit_many(images, **{"configs": TINY} | options)


def test_values_and_files_that_it_cannot_take_are_refused(images):
    with pytest.raises(ValueError, match=r"images must lie in \[0, 1\]"):
        fit_many(images.astype(np.float32), TINY)
    with pytest.raises(ValueError, match=r"images must fit into the memory .* train one at a time"):
        fit_many(Rows([images[..., None]], ["images"]), TINY)


def test_a_program_that_takes_more_memory_than_is_free_is_refused(monkeypatch, caplog):
    program = jax.jit(lambda x: 2 * x).lower(np.zeros(1000, np.float32)).compile()
    with caplog.at_level(logging.INFO, "vae_topk_jax.group"):
        check_memory(program, jax.devices(), "3 runs at once")
    assert caplog.messages[0].startswith("3 runs at once take 1.6e-05 GB of the memory of ")
    monkeypatch.setattr("vae_topk_jax.group.free_bytes", lambda device: 10_000)
    check_memory(program, jax.devices()[:1], "1 run")
    with pytest.raises(ValueError, match=r"take 1.6e-05 GB of .*, of which 1e-05 GB are free"):
        check_memory(program, jax.devices(), "3 runs at once")


@pytest.mark.long
def test_a_run_that_cannot_go_on_is_named(images):
    wild = SWEEP[1].replace(learning_rate=1e30)
    with pytest.raises(NonFiniteError, match=r"run 1, .*seed=3.*: stopped at step 3: 3 steps "):
        fit_many(images, (TINY, wild), labels=LABELS, patience=3, progress=False)
