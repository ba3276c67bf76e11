"""Every system trains, encodes, saves and loads under the debugging switches of JAX."""

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import jax
import numpy as np
import pytest

from vae_topk_jax import load
from vae_topk_jax.checkpoint import save_checkpoint
from vae_topk_jax.config import Config, fields_for
from vae_topk_jax.inference import Inference
from vae_topk_jax.models import MODELS
from vae_topk_jax.run_info import RunInfo

SHAPE, STEPS, BATCH = (6, 6, 1), 3, 8


@contextmanager
def x64_debugged() -> Iterator[None]:
    with jax.enable_x64(True), jax.debug_nans(True), jax.debug_infs(True):
        yield


SWITCHES: dict[str, Callable[[], AbstractContextManager]] = {
    "jax_enable_x64 and jax_debug_nans": x64_debugged,
    "jax_disable_jit": jax.disable_jit,
    "jax_check_tracer_leaks": jax.checking_leaks,
}
SLOW = ("jax_disable_jit", "jax_check_tracer_leaks")
UNLIKE = ("top_k_vae", "batch_topk_sae")
SIZES = {"latent_dim": 4, "k": 2, "widths": (8,), "batch_size": BATCH, "inference_steps": 2}
SIZES |= {"levels": (1, 3), "level_k": (1, 2)}


pytestmark = pytest.mark.long


def info_of(model: str, count: int) -> RunInfo:
    own = {name: value for name, value in SIZES.items() if name in fields_for(model)}
    return RunInfo(Config(model, epochs=1, **own), SHAPE, {"source": "noise", "train": count})


@pytest.fixture(scope="module", autouse=True)
def small_heap() -> Iterator[None]:
    """Leaks are looked for among all objects, but not among those that are frozen."""
    jax.clear_caches()
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def few_programs() -> Iterator[None]:
    """Without `jit` every operation is a program of its own, with memory maps of its own."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (BATCH * STEPS, *SHAPE), np.uint8)


@pytest.mark.parametrize(
    ("model", "switch"),
    [(m, s) for m in MODELS for s in SWITCHES if s not in SLOW or m in UNLIKE],
)
def test_a_system_runs_under_a_switch(model: str, switch: str, images: np.ndarray, tmp_path: Path):
    info = info_of(model, len(images))
    x = images[:BATCH].astype(np.float32) / 255
    with SWITCHES[switch]():
        (turn,) = info.trainer.epochs(info.trainer.init(images), images)
        assert int(turn.state.step) == STEPS
        assert turn.terms["skipped"] == 0
        leaves = jax.tree.leaves((turn.state.params, turn.state.batch_stats))
        assert all(leaf.dtype in (np.float32, np.int32) for leaf in leaves)
        inference = Inference(turn.state, info)
        codes = np.asarray(inference.encode(x))
        assert np.isfinite(inference.generate(jax.random.key(0), 2)).all()
        save_checkpoint(tmp_path, turn.state, info)
        np.testing.assert_array_equal(load(tmp_path).encode(x), codes)
    if "x64" in switch:
        np.testing.assert_allclose(load(tmp_path).encode(x), codes, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", UNLIKE)
def test_a_checkpoint_loads_in_the_wider_precision_mode(model: str, images, tmp_path: Path):
    info = info_of(model, len(images))
    x = images[:BATCH].astype(np.float32) / 255
    (turn,) = info.trainer.epochs(info.trainer.init(images), images)
    save_checkpoint(tmp_path, turn.state, info)
    codes = load(tmp_path).encode(x)
    with jax.enable_x64(True):
        np.testing.assert_allclose(load(tmp_path).encode(x), codes, rtol=1e-5, atol=1e-6)
