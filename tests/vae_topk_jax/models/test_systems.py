"""What every system must do, whatever it is."""

import dataclasses
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.models import SUMS
from tests.helpers.params import long_but
from tests.helpers.runs import BESIDES, SMALL, bits
from vae_topk_jax import export_model, load_exported, load_weights
from vae_topk_jax.checkpoint import restore_checkpoint, save_checkpoint
from vae_topk_jax.data import Dataset
from vae_topk_jax.inference import Inference
from vae_topk_jax.models import MODELS
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.runs.inputs import Inputs, as_inputs
from vae_topk_jax.training import EpochResult

SYSTEMS: dict[str, dict[str, Any]] = {
    name: {"model": name} | BESIDES.get(name, {}) for name in MODELS
} | {
    "by element, rae": {"selection": "element", "sensitivity_every": 3, "objective": "rae"},
    "per sample": {"selection": "sample", "mask_input": True},
    "by slot": {"selection": "slot", "mask_input": True},
    "fixed mask, iwae": {"importance": "fixed", "objective": "iwae", "importance_samples": 3}
    | SUMS,
    "factor_vae": {"model": "factor_vae", "discriminator_widths": (16,)},
}
VECTORS: dict[str, dict[str, Any]] = {
    "top_k_vae": {"likelihood": "normal_per_feature", "standardize": "feature"},
    "vae": {"likelihood": "normal", "standardize": "channel"},
    "beta_vae": {"likelihood": "squared_error", "standardize": "feature", "body": "residual"},
    "vsc": {"likelihood": "normal_per_feature", "standardize": "feature"},
    "sparse_generator": {"likelihood": "squared_error", "standardize": "feature"},
}
VECTORS["batch_topk_sae"] = {"standardize": "norm", "pixel_reduction": "sum"}
PHOTOS = {
    "body": "resnet",
    "widths": (4, 8),
    "likelihood": "squared_error",
    "standardize": "channel",
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: ("blobs", {**fields}) for name, fields in SYSTEMS.items()},
    **{f"{name} of vectors": ("vectors", {"model": name} | VECTORS[name]) for name in VECTORS},
    "9 x 15 x 3": ("photos", PHOTOS),
}
USUAL = {"beta_vae", "top_k_vae", "batch_topk_sae"}
STEPS_200 = 25

STANDARDISED = long_but(
    USUAL, (name for name, (_, fields) in CASES.items() if "standardize" in fields)
)


@dataclasses.dataclass(frozen=True)
class Run:
    """A system after 200 steps."""

    inputs: Inputs
    info: RunInfo
    epochs: list[EpochResult]

    @property
    def inference(self) -> Inference:
        return Inference(self.epochs[-1].state, self.info)


@pytest.fixture(scope="module")
def inputs(blobs: Dataset) -> dict[str, Inputs]:
    """Images in [0, 1]; vectors of unlike scales, sparse sums of a few directions; and floating
    images of an odd size, a spot in one of three colours."""
    rng = np.random.default_rng(0)
    codes = rng.exponential(1, (640, 6)) * (rng.random((640, 6)) < 0.3)
    vectors = (codes @ rng.normal(size=(6, 12))) * np.logspace(-2, 2, 12) + np.arange(12)
    places = rng.uniform(2, 7, (640, 2, 1)) * [[1], [2]]
    rows, columns = (
        np.exp(-((np.arange(size) - place) ** 2) / 4)
        for size, place in zip((9, 15), places.swapaxes(0, 1), strict=True)
    )
    colours = rng.integers(0, 3, 640)[:, None] == np.arange(3)
    photos = 300 * np.einsum("nh,nw,nc->nhwc", rows, columns, colours) - 50
    return {
        "blobs": as_inputs(blobs.train_images, blobs.test_images, "blobs"),
        **{
            name: as_inputs(x[:512].astype(np.float32), x[512:].astype(np.float32), name)
            for name, x in (("vectors", vectors), ("photos", photos))
        },
    }


@pytest.fixture(scope="module", params=long_but(USUAL, CASES))
def run(request: pytest.FixtureRequest, inputs: dict[str, Inputs]) -> Run:
    of, fields = CASES[request.param]
    given = inputs[of]
    info = given.info(SMALL.replace(epochs=STEPS_200, **fields))
    state = info.trainer.init(given.train)
    return Run(given, info, list(info.trainer.epochs(state, given.train)))


@pytest.fixture
def x(run: Run) -> np.ndarray:
    return run.inputs.float_test


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
    np.testing.assert_allclose(
        model.reconstruct(x), model.decode(model.encode(x)), rtol=1e-5, atol=1e-5 * np.abs(x).max()
    )


def test_segments_and_calls_are_traced_once(run, x):
    assert run.info.trainer.segment._cache_size() == 1
    model = run.inference
    for start in (0, 32):
        model.encode(x[start : start + 32])
    assert model._program("encode")._cache_size() == 1


def test_gradients_are_finite_and_most_of_them_not_zero(run, x):
    model, state = run.inference.model, run.epochs[-1].state

    @jax.jit
    @jax.grad
    def gradients(params, x):
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

    for images in (np.zeros_like(x[:32]), np.ones_like(x[:32])):
        chex.assert_tree_all_finite(gradients(state.params, images))
    kernels = jax.tree.leaves(gradients(state.params, x[:32]))
    chex.assert_tree_all_finite(kernels)
    assert np.mean([np.any(np.asarray(kernel) != 0) for kernel in kernels]) > 0.5


@pytest.mark.parametrize(
    ("method", "spoil", "message"),
    [
        ("encode", lambda x: x[:, :, :, :1, None], r"images must have shape \(N, \d+, \d+, \d+\)"),
        ("encode", lambda x: x[:0], r"images must have shape"),
        ("encode", lambda x: x.astype(np.uint8), "images must be floating"),
        ("encode", lambda x: np.full_like(x, np.nan), "images must lie in"),
        ("decode", lambda x: x[:2, 0, 0, :1], r"z must have shape \(N, 8\), got \(2, 1\)"),
    ],
)
def test_wrong_arrays_are_refused_in_one_line(run, x, method, spoil, message):
    with pytest.raises(ValueError, match=message) as error:
        getattr(run.inference, method)(spoil(x))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("run", STANDARDISED, indirect=True)
def test_an_exported_model_gives_what_the_model_gives(run, x, tmp_path):
    """Shift, scale and the output's map are in the programs, and in the weights by themselves."""
    export_model(run.inference, tmp_path / "model")
    exported = load_exported(tmp_path / "model", verify=False)
    tolerance = {"rtol": 1e-4, "atol": 1e-5 * np.abs(x).max()}
    codes = run.inference.encode(x[:8])
    np.testing.assert_allclose(exported.encode(x[:8]), codes, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(exported.decode(codes), run.inference.decode(codes), **tolerance)
    again = load_weights(tmp_path / "model")
    np.testing.assert_array_equal(again.encode(x[:8]), codes)


@pytest.mark.parametrize("run", STANDARDISED, indirect=True)
def test_codes_do_not_depend_on_the_units_of_the_inputs(run, x):
    """Inputs, shift and scale in other units: the same codes, decoded in those units."""
    model, state = run.inference, run.epochs[-1].state
    units = 4.0  # exact
    stats = {name: units * x for name, x in state.batch_stats["standardization"].items()}
    changed = state.replace(batch_stats=state.batch_stats | {"standardization": stats})
    other = Inference(changed, run.info)
    np.testing.assert_array_equal(other.encode(units * x[:64]), model.encode(x[:64]))
    np.testing.assert_array_equal(
        other.reconstruct(units * x[:64]), units * np.asarray(model.reconstruct(x[:64]))
    )
