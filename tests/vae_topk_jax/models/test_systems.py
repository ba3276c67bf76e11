"""What every system must do, whatever it is."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.runs import SMALL, bits, trainer_of
from vae_topk_jax.checkpoint import restore_checkpoint, save_checkpoint
from vae_topk_jax.config import Config
from vae_topk_jax.data import Dataset, to_unit_float
from vae_topk_jax.inference import Inference
from vae_topk_jax.models import MODELS
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.training import EpochResult

SYSTEMS = {name: {"model": name} for name in MODELS} | {
    "by element": {"selection": "element", "sensitivity_every": 3},
    "per sample": {"selection": "sample"},
    "fixed mask": {"importance": "fixed"},
}
STEPS_200 = 25


@dataclasses.dataclass(frozen=True)
class Run:
    """A system after 200 steps."""

    info: RunInfo
    epochs: list[EpochResult]

    @property
    def inference(self) -> Inference:
        return Inference(self.epochs[-1].state, self.info)


@pytest.fixture(scope="module", params=SYSTEMS)
def run(request: pytest.FixtureRequest, blobs: Dataset) -> Run:
    config: Config = SMALL.replace(epochs=STEPS_200, **SYSTEMS[request.param])
    info = RunInfo(config, blobs.image_shape, blobs.describe(), blobs.digest)
    state = info.trainer.init(blobs.train_images)
    return Run(info, list(info.trainer.epochs(state, blobs.train_images)))


@pytest.fixture
def x(blobs: Dataset) -> np.ndarray:
    return to_unit_float(blobs.test_images)


def test_200_steps_lower_the_reconstruction_error(run):
    assert int(run.epochs[-1].state.step) == 200
    first, last = (epoch.terms["reconstruction"] for epoch in (run.epochs[0], run.epochs[-1]))
    assert last < 0.8 * first
    assert run.epochs[-1].terms["skipped"] == 0


def test_a_checkpoint_gives_back_the_bits(run, tmp_path):
    state = run.epochs[-1].state
    save_checkpoint(tmp_path, state, run.info)
    restored, info = restore_checkpoint(tmp_path)
    assert info == run.info
    assert bits(restored) == bits(state)


def test_what_an_image_gives_does_not_depend_on_its_batch_mates(run, x):
    codes = np.asarray(run.inference.encode(x[:64]))
    others = np.concatenate([x[:1], 1 - x[1:64]])
    np.testing.assert_array_equal(codes[0], run.inference.encode(others)[0])
    np.testing.assert_allclose(codes[0], run.inference.encode(x[:1])[0], atol=1e-5)


def test_reconstruct_is_decode_of_encode(run, x):
    model = run.inference
    np.testing.assert_allclose(model.reconstruct(x), model.decode(model.encode(x)), atol=1e-5)


def test_steps_and_calls_are_traced_once(run, blobs, x):
    trainer = trainer_of(blobs, run.info.config)
    step = jax.jit(chex.assert_max_traces(trainer._step, n=1))
    state = trainer.init()
    for start in (0, 32):
        state, _ = step(state, x[start : start + 32])
    chex.clear_trace_counter()
    model = run.inference
    for start in (0, 32):
        model.encode(x[start : start + 32])
    assert model._program("encode")._cache_size() == 1


def test_gradients_are_finite_and_most_of_them_not_zero(run, x):
    model, state = run.inference.model, run.epochs[-1].state

    def loss_of(params, x):
        (loss, _), _ = model.apply(
            {"params": params, "batch_stats": state.batch_stats},
            x,
            x,
            train=True,
            progress=jnp.asarray(0.5),
            method="loss",
            mutable=["batch_stats"],
            rngs={"latent": jax.random.key(0)},
        )
        return loss

    for images in (x[:32], np.zeros_like(x[:32]), np.ones_like(x[:32])):
        chex.assert_tree_all_finite(jax.jit(jax.grad(loss_of))(state.params, images))
    kernels = jax.tree.leaves(jax.jit(jax.grad(loss_of))(state.params, x[:32]))
    assert np.mean([np.any(np.asarray(kernel) != 0) for kernel in kernels]) > 0.5


@pytest.mark.parametrize(
    ("method", "value", "message"),
    [
        ("encode", np.zeros((2, 5, 5, 1), np.float32), r"images must have shape \(N, 12, 12, 1\)"),
        ("encode", np.zeros((0, 12, 12, 1), np.float32), r"images must have shape"),
        ("encode", np.zeros((2, 12, 12, 1), np.uint8), "images must be floating"),
        ("encode", np.full((2, 12, 12, 1), np.nan, np.float32), "images must lie in"),
        ("decode", np.zeros((2, 3), np.float32), r"z must have shape \(N, 8\), got \(2, 3\)"),
    ],
)
def test_wrong_arrays_are_refused_in_one_line(run, method, value, message):
    with pytest.raises(ValueError, match=message) as error:
        getattr(run.inference, method)(value)
    assert "\n" not in str(error.value)
