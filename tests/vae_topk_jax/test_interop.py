"""Weights of dictionary_learning and SAELens: read as those packages would, written back equal."""

import importlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import chex
import jax.numpy as jnp
import ml_dtypes
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
def ties() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Weights and inputs of small whole numbers, so that every library gets the same activations to
    the bit; the threshold is one of them that is seen often."""
    rng = np.random.default_rng(2)

    def whole(*shape: int) -> np.ndarray:
        return rng.integers(-3, 4, shape).astype(np.float32)

    weights = {
        "encoder.weight": whole(D, F),
        "encoder.bias": whole(D),
        "decoder.weight": whole(F, D),
        "b_dec": whole(F),
        "threshold": np.array(5, np.float32),
        "k": np.array(K, np.int32),
    }
    x = whole(300, F)
    assert np.sum(latents_of(weights, x) == 5) > 20
    return weights, x


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(7, F)).astype(np.float32)


def codes_of(weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """What both libraries compute at inference."""
    latents = latents_of(weights, x)
    return np.maximum(latents, 0) * (latents > weights["threshold"])


def latents_of(weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    return (x - weights["b_dec"]) @ weights["encoder.weight"].T + weights["encoder.bias"]


def peer(name: str) -> ModuleType:
    """A module of another library; its own warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(name.partition(".")[0], reason="needs the extra bench")
        return importlib.import_module(name)


def apply(sae: SAE, x: np.ndarray, method: str) -> np.ndarray:
    return np.asarray(sae.model.apply(sae.variables, jnp.asarray(x), method=method))


def dictionary_learning(weights: dict[str, np.ndarray], folder: Path) -> Path:
    """The SAE as dictionary_learning's state dict has it."""
    folder.mkdir()
    save_file(weights, folder / "ae.safetensors")
    return folder / "ae.safetensors"


def saelens(weights: dict[str, np.ndarray], folder: Path, **settings) -> Path:
    """The same SAE as SAELens saves it."""
    folder.mkdir()
    tensors = {
        "W_enc": np.ascontiguousarray(weights["encoder.weight"].T),
        "b_enc": weights["encoder.bias"],
        "W_dec": np.ascontiguousarray(weights["decoder.weight"].T),
        "b_dec": weights["b_dec"],
        "threshold": np.full(D, weights["threshold"]),
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
            "sae_lens_version": "6.0.0",
            "training_architecture": "batchtopk",
            "training_architecture_details": {"k": float(K), "aux_loss_coefficient": 1.0},
        },
    }
    (folder / "cfg.json").write_text(json.dumps(cfg | settings))
    return folder


def test_dictionary_learning_is_read_and_written_back_to_the_bit(weights, x, tmp_path):
    sae = load_dictionary_learning(dictionary_learning(weights, tmp_path / "theirs"))
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
    assert cfg["metadata"]["sae_lens_version"] == expected["metadata"]["sae_lens_version"]
    assert cfg["metadata"]["training_architecture_details"] == {"k": K}


FORMATS: dict[str, tuple[Callable[..., SAE], Callable[..., Path]]] = {
    "dictionary_learning": (load_dictionary_learning, dictionary_learning),
    "saelens": (load_saelens, saelens),
}


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("threshold", [5.0, 0.0])
def test_a_latent_at_the_threshold_is_silent_here_as_there(ties, tmp_path, name, threshold):
    weights, x = ties
    weights["threshold"] = np.array(threshold, np.float32)
    load, write = FORMATS[name]
    codes = apply(load(write(weights, tmp_path / "sae")), x[:, None, None], "encode")
    np.testing.assert_array_equal(codes, codes_of(weights, x))


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
def test_half_precision_is_read_as_float32(weights, tmp_path, name, dtype):
    load, write = FORMATS[name]
    half = {n: a if n == "k" else a.astype(dtype) for n, a in weights.items()}
    same = {n: a if n == "k" else a.astype(np.float32) for n, a in half.items()}
    found, expected = (load(write(w, tmp_path / f"{i}")) for i, w in enumerate((half, same)))
    chex.assert_trees_all_equal_shapes_and_dtypes(found.variables, expected.variables)
    chex.assert_trees_all_equal(found.variables, expected.variables)


def test_a_mean_that_is_a_fraction_is_kept_and_trained_with(weights, tmp_path):
    details = {"training_architecture_details": {"k": 1.5}}
    sae = load_saelens(saelens(weights, tmp_path / "sae", metadata=details))
    x = np.random.default_rng(3).normal(size=(8, 1, 1, F)).astype(np.float32)
    (_, _), stats = sae.model.apply(
        sae.variables, x, x, train=True, method="loss", mutable=["batch_stats"]
    )
    kept = apply(SAE(sae.model, {**sae.variables, **stats}), x, "encode")
    assert np.count_nonzero(kept) > 0
    before, after = (v["batch_stats"]["batch_top_k"]["frequency"] for v in (sae.variables, stats))
    np.testing.assert_allclose([before.sum(), after.sum()], 1.5, rtol=1e-6)

    save_saelens(tmp_path / "again", sae)
    assert load_saelens(tmp_path / "again").model.k == 1.5
    with pytest.raises(ValueError, match=r"k must be an integer for dictionary_learning, got 1.5"):
        save_dictionary_learning(tmp_path / "ae.safetensors", sae)


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
        ({"b_dec": np.zeros(F)}, "b_dec in .* must be F32 or BF16 or F16, got F64"),
        (
            {"decoder.bias": np.zeros(F, np.float32)},
            "must hold encoder.weight, .*, k alone, got decoder.bias",
        ),
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
        ({"architecture": "crosscoder"}, "architecture in .* or 'standard', got 'crosscoder'"),
        ({"normalize_activations": "layer_norm"}, "must be 'none', got 'layer_norm'"),
        ({"normalize_activations": True}, "normalize_activations in .* be 'none', got True"),
        ({"reshape_activations": "hook_z"}, "reshape_activations in .* be 'none', got 'hook_z'"),
        ({"activation_fn_str": "topk"}, "activation_fn_str in .* must be 'relu', got 'topk'"),
        ({"apply_b_dec_to_input": None}, "apply_b_dec_to_input in .* must be True, got None"),
        ({"d_sae": 11}, "d_sae in .* must be 10, got 11"),
        ({"metadata": 3}, "k is not in the metadata of .*: give it as k"),
        (
            {"metadata": {"training_architecture_details": None}},
            "k is not in the metadata of .*: give it as k",
        ),
    ],
)
def test_settings_of_other_saes_are_refused(weights, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        load_saelens(saelens(weights, tmp_path / "sae", **settings))


@pytest.mark.parametrize("k", [0, -1.5, 10.5, 11, float("nan"), "2", True, [2]])
def test_a_k_that_is_no_mean_of_the_latents_is_refused(weights, tmp_path, k):
    details = {"training_architecture_details": {"k": k}}
    with pytest.raises(ValueError, match="k must "):
        load_saelens(saelens(weights, tmp_path / "sae", metadata=details))


def test_settings_of_before_6_0_are_read(weights, x, tmp_path):
    old = {"normalize_activations": False, "reshape_activations": None, "activation_fn": "relu"}
    expected = load_saelens(saelens(weights, tmp_path / "new"))
    for name, normalise in (("false", False), ("null", None)):
        settings = old | {"normalize_activations": normalise, "metadata": {}}
        found = load_saelens(saelens(weights, tmp_path / name, **settings), k=K)
        chex.assert_trees_all_equal(found.variables, expected.variables)


def with_tensors(folder: Path, **tensors: np.ndarray) -> Path:
    path = folder / "sae_weights.safetensors"
    save_file(load_file(path) | tensors, path)
    return folder


def test_what_is_not_one_for_all_latents_is_refused(weights, tmp_path):
    ramp = np.linspace(0, 1, D, dtype=np.float32)
    for name in ("threshold", "scaling_factor"):
        folder = with_tensors(saelens(weights, tmp_path / name), **{name: ramp})
        with pytest.raises(ValueError, match=f"{name} in .*must be one for all .*, got 0 to 1"):
            load_saelens(folder)


def test_a_scaling_factor_is_read_where_it_changes_nothing(weights, tmp_path):
    folder = saelens(weights, tmp_path / "sae")
    expected = load_saelens(folder)
    ones = np.ones(D, np.float32)
    found = load_saelens(with_tensors(folder, scaling_factor=ones))
    chex.assert_trees_all_equal(found.variables, expected.variables)
    with pytest.raises(ValueError, match=r"scaling_factor in .* must be 1, got 2: multiply the"):
        load_saelens(with_tensors(folder, scaling_factor=2 * ones))


def test_a_pickle_is_not_opened(tmp_path):
    (tmp_path / "ae.pt").write_bytes(b"\x80\x04cos\nsystem\n.")
    with pytest.raises(ValueError, match="is not a safetensors file"):
        load_dictionary_learning(tmp_path / "ae.pt")


def test_dictionary_learning_itself_has_the_same_codes(ties, tmp_path):
    """Theirs read here, and the same written here and read there."""
    weights, x = ties
    theirs = peer("dictionary_learning.trainers.batch_top_k").BatchTopKSAE(F, D, K)
    torch, files = peer("torch"), peer("safetensors.torch")
    theirs.load_state_dict({name: torch.tensor(a) for name, a in weights.items()})
    tensors = {name: tensor.contiguous() for name, tensor in theirs.state_dict().items()}
    files.save_file(tensors, tmp_path / "theirs.safetensors")
    sae = load_dictionary_learning(tmp_path / "theirs.safetensors")
    save_dictionary_learning(tmp_path / "ours.safetensors", sae)
    theirs.load_state_dict(files.load_file(tmp_path / "ours.safetensors"))
    with torch.no_grad():
        codes = theirs.encode(torch.tensor(x))
        np.testing.assert_array_equal(apply(sae, x[:, None, None], "encode"), codes.numpy())
        x_hat = theirs(torch.tensor(x)).numpy()
    np.testing.assert_array_equal(apply(sae, x[:, None, None], "reconstruct")[:, 0, 0], x_hat)


def test_saelens_itself_reads_what_is_written(ties, tmp_path):
    weights, x = ties
    lens, torch = peer("sae_lens"), peer("torch")
    sae = load_saelens(saelens(weights, tmp_path / "theirs"), k=1.5)
    save_saelens(tmp_path / "ours", sae)
    theirs = lens.SAE.load_from_disk(tmp_path / "ours")
    assert theirs.cfg.metadata.training_architecture_details == {"k": 1.5}
    assert theirs.cfg.metadata.sae_lens_version == "6.0.0"
    with torch.no_grad():
        codes = theirs.encode(torch.tensor(x)).numpy()
        x_hat = theirs(torch.tensor(x)).numpy()
    np.testing.assert_array_equal(codes, codes_of(weights, x))
    np.testing.assert_array_equal(apply(sae, x[:, None, None], "encode"), codes)
    np.testing.assert_array_equal(apply(sae, x[:, None, None], "reconstruct")[:, 0, 0], x_hat)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("subtracts", [True, False])
def test_what_saelens_itself_trains_and_saves_is_read(ties, tmp_path, dtype, subtracts):
    weights, x = ties
    lens, torch = peer("sae_lens"), peer("torch")
    theirs = lens.BatchTopKTrainingSAE(
        lens.BatchTopKTrainingSAEConfig(
            d_in=F,
            d_sae=D,
            k=2.5,
            dtype=dtype,
            apply_b_dec_to_input=subtracts,
            rescale_acts_by_decoder_norm=False,  # which is folded into weights that are not whole
        )
    )
    with torch.no_grad():
        for name, value in {
            "W_enc": weights["encoder.weight"].T,
            "b_enc": weights["encoder.bias"],
            "W_dec": weights["decoder.weight"].T,
            "b_dec": weights["b_dec"],
        }.items():
            getattr(theirs, name).copy_(torch.tensor(np.ascontiguousarray(value)))
        theirs.topk_threshold.fill_(5.0)
        theirs.save_inference_model(tmp_path)
        loaded = lens.SAE.load_from_disk(tmp_path)
        codes = loaded.encode(torch.tensor(x)).float().numpy()
    sae = load_saelens(tmp_path)
    assert sae.model.k == 2.5
    np.testing.assert_array_equal(apply(sae, x[:, None, None], "encode"), codes)
