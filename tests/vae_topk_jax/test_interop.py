"""Weights of dictionary_learning and SAELens: read as those packages would, written back equal."""

import json
import warnings
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from vae_topk_jax.interop import (
    SAE,
    load_dictionary_learning,
    load_saelens,
    save_dictionary_learning,
    save_saelens,
)
from vae_topk_jax.models.batch_topk_sae import BatchTopKSAE

D, F, K, THRESHOLD = 10, 6, 3, 0.4


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    """In the layout of dictionary_learning."""
    rng = np.random.default_rng(0)
    return {
        "encoder.weight": rng.normal(size=(D, F)).astype(np.float32),
        "encoder.bias": rng.normal(size=D).astype(np.float32),
        "decoder.weight": rng.normal(size=(F, D)).astype(np.float32),
        "b_dec": rng.normal(size=F).astype(np.float32),
        "threshold": np.array(THRESHOLD, np.float32),
        "k": np.array(K, np.int32),
    }


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(7, F)).astype(np.float32)


def codes_of(weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """What dictionary_learning computes at inference."""
    pre = (x - weights["b_dec"]) @ weights["encoder.weight"].T + weights["encoder.bias"]
    return np.maximum(pre, 0) * (pre > weights["threshold"])


def apply(sae: SAE, x: np.ndarray, method: str) -> np.ndarray:
    return np.asarray(sae.model.apply(sae.variables, jnp.asarray(x), method=method))


def saelens(weights: dict[str, np.ndarray], folder: Path, **settings) -> Path:
    """The same SAE as SAELens saves it."""
    folder.mkdir()
    tensors = {
        "W_enc": np.ascontiguousarray(weights["encoder.weight"].T),
        "b_enc": weights["encoder.bias"],
        "W_dec": np.ascontiguousarray(weights["decoder.weight"].T),
        "b_dec": weights["b_dec"],
        "threshold": np.full(D, THRESHOLD, np.float32),
    }
    save_file(tensors, folder / "sae_weights.safetensors")
    cfg = {
        "architecture": "jumprelu",
        "d_in": F,
        "d_sae": D,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": "6.54.12",
            "training_architecture": "batchtopk",
            "training_architecture_details": {"k": float(K), "aux_loss_coefficient": 1.0},
        },
    }
    (folder / "cfg.json").write_text(json.dumps(cfg | settings))
    return folder


def test_dictionary_learning_is_read_and_written_back_to_the_bit(weights, x, tmp_path):
    save_file(weights, tmp_path / "ae.safetensors")
    sae = load_dictionary_learning(tmp_path / "ae.safetensors")
    assert (sae.model.k, sae.model.latent_dim, sae.model.image_shape) == (K, D, (1, 1, F))
    codes = apply(sae, x[:, None, None], "encode")
    np.testing.assert_allclose(codes, codes_of(weights, x), rtol=1e-5, atol=1e-6)
    expected = codes @ weights["decoder.weight"].T + weights["b_dec"]
    np.testing.assert_allclose(apply(sae, codes, "decode")[:, 0, 0], expected, rtol=1e-5, atol=1e-6)

    save_dictionary_learning(tmp_path / "again.safetensors", sae)
    again = load_file(tmp_path / "again.safetensors")
    chex.assert_trees_all_equal(again, weights)
    assert {name: (a.dtype, a.shape) for name, a in again.items()} == {
        name: (a.dtype, a.shape) for name, a in weights.items()
    }


def test_saelens_is_read_and_written_back_to_the_bit(weights, x, tmp_path):
    sae = load_saelens(saelens(weights, tmp_path / "theirs"))
    codes = apply(sae, x[:, None, None], "encode")
    np.testing.assert_allclose(codes, codes_of(weights, x), rtol=1e-5, atol=1e-6)
    save_saelens(tmp_path / "ours", sae)
    theirs, ours = (
        load_file(tmp_path / name / "sae_weights.safetensors") for name in ("theirs", "ours")
    )
    chex.assert_trees_all_equal(ours, theirs)
    cfg = json.loads((tmp_path / "ours" / "cfg.json").read_text())
    expected = json.loads((tmp_path / "theirs" / "cfg.json").read_text())
    assert cfg | {"metadata": None} == expected | {"metadata": None}
    assert cfg["metadata"]["training_architecture_details"] == {"k": K}


def test_an_encoder_that_does_not_subtract_b_dec_is_read_as_what_it_computes(weights, x, tmp_path):
    sae = load_saelens(saelens(weights, tmp_path / "sae", apply_b_dec_to_input=False))
    expected = codes_of(weights, x + weights["b_dec"])
    codes = apply(sae, x[:, None, None], "encode")
    np.testing.assert_allclose(codes, expected, rtol=1e-5, atol=1e-5)


def test_from_one_to_the_other_and_on_with_training(weights, x, tmp_path):
    save_file(weights, tmp_path / "ae.safetensors")
    save_saelens(tmp_path / "sae", load_dictionary_learning(tmp_path / "ae.safetensors"))
    sae = load_saelens(tmp_path / "sae", k=2)
    images = x[:, None, None]
    (loss, _), stats = sae.model.apply(
        sae.variables, images, images, train=True, method="loss", mutable=["batch_stats"]
    )
    assert np.isfinite(loss)
    assert sae.model.k == 2
    chex.assert_trees_all_equal_shapes_and_dtypes(
        stats["batch_stats"], dict(sae.variables["batch_stats"])
    )


def test_an_sae_that_has_seen_nothing_has_no_threshold(weights, x, tmp_path):
    save_file(weights | {"threshold": np.array(-1.0, np.float32)}, tmp_path / "new.safetensors")
    sae = load_dictionary_learning(tmp_path / "new.safetensors")
    with pytest.raises(ValueError, match="has seen no batch yet"):
        apply(sae, x[:, None, None], "encode")
    with pytest.raises(ValueError, match="has seen no batch yet, so it has no threshold"):
        save_saelens(tmp_path / "sae", sae)
    save_dictionary_learning(tmp_path / "again.safetensors", sae)
    assert load_file(tmp_path / "again.safetensors")["threshold"] == -1.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"encoder.bias": np.zeros(4, np.float32)},
            r"encoder.bias in .* shape \(10,\), got \(4,\)",
        ),
        (
            {"decoder.weight": np.zeros((D, F), np.float32)},
            r"must have shape \(6, 10\), got \(10, 6\)",
        ),
        ({"b_dec": np.zeros((1, F), np.float32)}, r"b_dec in .* shape \(6,\), got \(1, 6\)"),
        ({"b_dec": np.zeros(F, np.float16)}, "b_dec in .* must be F32, got F16"),
        ({"k": np.array(3.0, np.float32)}, "k in .* must be I32 or I64, got F32"),
        ({"k": np.array(11, np.int32)}, "k must lie between 1 and the 10 dimensions, got 11"),
        ({"b_dec": np.full(F, np.nan, np.float32)}, "b_dec in .* must be finite"),
        ({"threshold": None, "k": None}, "lacks k, threshold"),
    ],
)
def test_wrong_tensors_are_named_in_one_line(weights, tmp_path, changes, message):
    changed = {name: a for name, a in (weights | changes).items() if a is not None}
    save_file(changed, tmp_path / "ae.safetensors")
    with pytest.raises(ValueError, match=message) as error:
        load_dictionary_learning(tmp_path / "ae.safetensors")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "gated"}, "architecture in .* must be 'jumprelu', got 'gated'"),
        ({"normalize_activations": "layer_norm"}, "must be 'none', got 'layer_norm'"),
        (
            {"metadata": {"training_architecture_details": None}},
            "k is not in the metadata of .*: give it as k",
        ),
    ],
)
def test_settings_of_other_saes_are_refused(weights, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        load_saelens(saelens(weights, tmp_path / "sae", **settings))


def test_a_threshold_for_each_latent_is_refused(weights, tmp_path):
    folder = saelens(weights, tmp_path / "sae")
    tensors = load_file(folder / "sae_weights.safetensors")
    tensors["threshold"] = np.linspace(0, 1, D, dtype=np.float32)
    save_file(tensors, folder / "sae_weights.safetensors")
    with pytest.raises(ValueError, match=r"must be one for all latents.*, got 0 to 1"):
        load_saelens(folder)


def test_a_pickle_is_not_opened(tmp_path):
    (tmp_path / "ae.pt").write_bytes(b"\x80\x04cos\nsystem\n.")
    with pytest.raises(ValueError, match="is not a safetensors file"):
        load_dictionary_learning(tmp_path / "ae.pt")


def test_dictionary_learning_itself_takes_what_is_written(x, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch")
        theirs = pytest.importorskip("dictionary_learning.trainers.batch_top_k")
        from safetensors.torch import load_file as load_torch
    model = BatchTopKSAE(image_shape=(1, 1, F), latent_dim=D, k=K, threshold_start=0)
    images = jnp.asarray(x[:, None, None])
    variables = model.init(jax.random.key(0), images)
    _, stats = model.apply(
        variables, images, images, train=True, method="loss", mutable=["batch_stats"]
    )
    sae = SAE(model, {**variables, **stats})
    save_dictionary_learning(tmp_path / "ae.safetensors", sae)
    loaded = theirs.BatchTopKSAE(F, D, K)
    loaded.load_state_dict(load_torch(tmp_path / "ae.safetensors"))
    # their mask is strict, so the entry that is the threshold itself is ours alone
    loaded.threshold -= 1e-6
    with torch.no_grad():
        codes = loaded.encode(torch.tensor(x))
        np.testing.assert_allclose(apply(sae, images, "encode"), codes.numpy(), atol=1e-5)
        x_hat = apply(sae, images, "reconstruct")[:, 0, 0]
        np.testing.assert_allclose(x_hat, loaded(torch.tensor(x)).numpy(), atol=1e-5)
