"""TopK, Matryoshka, JumpReLU, gated and L1 SAEs of dictionary_learning and SAELens: read as those
would, written back to the same codes, and loaded by the classes of both where installed."""

import importlib
import json
import warnings
from pathlib import Path
from types import ModuleType

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from vae_topk_jax.interop import (
    load_dictionary_learning,
    load_saelens,
    save_dictionary_learning,
    save_saelens,
)
from vae_topk_jax.models import GatedSAE, JumpReLUSAE, MatryoshkaSAE, ReLUSAE, TopKSAE
from vae_topk_jax.sae_weights import SAE

D, F, K = 10, 6, 3
KINDS = {
    "matryoshka": MatryoshkaSAE,
    "topk": TopKSAE,
    "jumprelu": JumpReLUSAE,
    "gated": GatedSAE,
    "standard": ReLUSAE,
}
rng = np.random.default_rng(0)
W_ENC, W_DEC = (rng.normal(size=s).astype(np.float32) for s in ((F, D), (D, F)))
B_ENC, B_DEC = (rng.normal(size=s).astype(np.float32) for s in (D, F))
THRESHOLD = np.abs(rng.normal(size=D)).astype(np.float32)
R_MAG, B_MAG = (rng.normal(size=D).astype(np.float32) for _ in range(2))
X = rng.normal(size=(9, F)).astype(np.float32)
WEIGHTS = {"W_enc": W_ENC, "b_enc": B_ENC, "W_dec": W_DEC, "b_dec": B_DEC}
GATED = {n: a for n, a in WEIGHTS.items() if n != "b_enc"}
GATED |= {"b_gate": B_ENC, "r_mag": R_MAG, "b_mag": B_MAG}
OPTIONS = {"topk": {"per_input": True}, "jumprelu": {"k": K}}


def expected_codes(kind: str, subtracted: np.ndarray = B_DEC) -> np.ndarray:
    """Worked out here."""
    pre = (X - subtracted) @ W_ENC + B_ENC
    if kind == "topk":
        pre = np.where(pre >= np.sort(pre, axis=1)[:, -K, None], pre, 0)
    if kind == "gated":
        magnitude = np.exp(R_MAG) * (pre - B_ENC) + B_MAG
        return np.where(pre > 0, magnitude, 0).clip(0)
    level = {"matryoshka": 0.4, "jumprelu": THRESHOLD}.get(kind, 0)
    return np.where(pre > level, pre, 0).clip(0)


def theirs(kind: str, path: Path) -> Path:
    """A state dict of dictionary_learning."""
    linear = {"encoder.weight": W_ENC.T, "encoder.bias": B_ENC, "decoder.weight": W_DEC.T}
    counts = {"k": np.array(K, np.int32), "threshold": np.array(0.4, np.float32)}
    tensors = {
        "matryoshka": WEIGHTS | counts | {"group_sizes": np.array([2, 3, 5])},
        "topk": linear | counts | {"b_dec": B_DEC},
        # its encoder does not subtract b_dec
        "jumprelu": WEIGHTS | {"b_enc": B_ENC - B_DEC @ W_ENC, "threshold": THRESHOLD},
        "gated": {
            "encoder.weight": W_ENC.T,
            "gate_bias": B_ENC,
            "r_mag": R_MAG,
            "mag_bias": B_MAG,
            "decoder.weight": W_DEC.T,
            "decoder_bias": B_DEC,
        },
        "standard": linear | {"bias": B_DEC},
    }[kind]
    save_file({name: np.array(a, order="C") for name, a in tensors.items()}, path)
    return path


def lens(kind: str, folder: Path, **changes) -> Path:
    """A folder of SAELens."""
    folder.mkdir()
    details = {"matryoshka": {"k": K, "matryoshka_widths": [2, 5, D]}, "jumprelu": {"target_l0": K}}
    training = {"matryoshka": "matryoshka_batchtopk"}.get(kind, kind)
    settings = {
        "architecture": {"matryoshka": "jumprelu"}.get(kind, kind),
        "d_in": F,
        "d_sae": D,
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "metadata": {
            "training_architecture": training,
            "training_architecture_details": details.get(kind, {}),
        },
    }
    settings |= {"k": K, "rescale_acts_by_decoder_norm": False} if kind == "topk" else {}
    thresholds = {"matryoshka": np.full(D, 0.4, np.float32), "jumprelu": THRESHOLD}
    more = {"threshold": thresholds[kind]} if kind in thresholds else {}
    save_file((GATED if kind == "gated" else WEIGHTS) | more, folder / "sae_weights.safetensors")
    (folder / "cfg.json").write_text(json.dumps(settings | changes))
    return folder


def apply(sae: SAE, x: np.ndarray, method: str) -> np.ndarray:
    return np.asarray(sae.model.apply(sae.variables, jnp.asarray(x), method=method))


def assert_is(sae: SAE, kind: str) -> None:
    assert type(sae.model) is KINDS[kind]
    codes = apply(sae, X[:, None, None], "encode")
    np.testing.assert_allclose(codes, expected_codes(kind), atol=1e-5)
    x_hat = codes @ W_DEC + B_DEC
    np.testing.assert_allclose(apply(sae, codes, "decode")[:, 0, 0], x_hat, atol=1e-5)
    if kind == "matryoshka":
        assert sae.model.widths == (2, 5, D)


@pytest.mark.parametrize("kind", KINDS)
def test_dictionary_learning_is_read_and_written_back(kind, tmp_path):
    sae = load_dictionary_learning(theirs(kind, tmp_path / "a"), **OPTIONS.get(kind, {}))
    assert_is(sae, kind)
    save_dictionary_learning(tmp_path / "b", sae)
    before, after = load_file(tmp_path / "a"), load_file(tmp_path / "b")
    assert {n: (a.dtype, a.shape) for n, a in before.items()} == {
        n: (a.dtype, a.shape) for n, a in after.items()
    }
    for name, tensor in before.items():
        np.testing.assert_allclose(after[name], tensor, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_saelens_is_read_and_written_back(kind, tmp_path):
    sae = load_saelens(lens(kind, tmp_path / "a"))
    assert_is(sae, kind)
    save_saelens(tmp_path / "b", sae)
    assert_is(load_saelens(tmp_path / "b"), kind)


@pytest.mark.parametrize("kind", ["gated", "standard"])
def test_an_encoder_that_subtracts_nothing_has_the_difference_in_its_biases(kind, tmp_path):
    sae = load_saelens(lens(kind, tmp_path / "a", apply_b_dec_to_input=False))
    expected = expected_codes(kind, np.zeros(F, np.float32))
    np.testing.assert_allclose(apply(sae, X[:, None, None], "encode"), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("jumprelu", {}, "k is not in .*: give it as k"),
        ("standard", {"k": 3}, "k is decided by .*: 3"),
        ("standard", {"per_input": True}, "per_input must be False, for .* is no TopK SAE"),
        ("jumprelu", {"k": 11}, "k must lie between 1 and the 10 dimensions, got 11"),
    ],
)
def test_options_that_do_not_fit_the_file_are_refused(kind, options, message, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        load_dictionary_learning(theirs(kind, tmp_path / "a"), **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "details", "message"),
    [
        ("matryoshka", {"k": K}, "widths in .* must ascend to the 10 latents"),
        ("matryoshka", {"k": K, "matryoshka_widths": [5, 2, D]}, "must ascend"),
        ("matryoshka", {"k": K, "matryoshka_widths": ["2", D]}, "must ascend"),
        ("matryoshka", {"k": K, "matryoshka_widths": [2, 5]}, "must ascend"),
        ("matryoshka", {"k": K, "matryoshka_widths": [0, D]}, "must ascend"),
        ("jumprelu", {}, "target_l0 is not in the metadata of .*: give it as k"),
        ("jumprelu", {"target_l0": [3]}, "k must be a number"),
        ("jumprelu", {"target_l0": 2.5}, "k must be an integer, got 2.5"),
    ],
)
def test_metadata_that_say_nothing_or_nonsense_are_refused(kind, details, message, tmp_path):
    training = {"matryoshka": "matryoshka_batchtopk"}.get(kind, kind)
    metadata = {"training_architecture": training, "training_architecture_details": details}
    with pytest.raises(ValueError, match=message) as error:
        load_saelens(lens(kind, tmp_path / "a", metadata=metadata))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("k", [None, 0, 11, 2.5, "3"])
def test_a_top_k_sae_without_a_good_k_is_refused(k, tmp_path):
    with pytest.raises(ValueError, match="k must"):
        load_saelens(lens("topk", tmp_path / "a", k=k))


def peer(name: str) -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(name.partition(".")[0], reason="needs the extra bench")
        return importlib.import_module(name)


def assert_same_outputs(ours, sae) -> None:
    """Codes and reconstructions are those of the other library's own class."""
    torch = peer("torch")
    with torch.no_grad():
        codes, x_hat = sae.encode(torch.tensor(X)).numpy(), sae(torch.tensor(X)).numpy()
    np.testing.assert_allclose(apply(ours, X[:, None, None], "encode"), codes, atol=1e-5)
    outputs = apply(ours, X[:, None, None], "reconstruct")[:, 0, 0]
    np.testing.assert_allclose(outputs, x_hat, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_dictionary_learning_itself_has_the_same_codes(kind, tmp_path):
    dictionary, torch = peer("dictionary_learning.dictionary"), peer("torch")
    if kind == "topk":
        sae = peer("dictionary_learning.trainers.top_k").AutoEncoderTopK(F, D, K)
    elif kind == "matryoshka":
        module = peer("dictionary_learning.trainers.matryoshka_batch_top_k")
        sae = module.MatryoshkaBatchTopKSAE(F, D, K, [2, 3, 5])
    else:
        name = {
            "jumprelu": "JumpReluAutoEncoder",
            "gated": "GatedAutoEncoder",
            "standard": "AutoEncoder",
        }[kind]
        sae = getattr(dictionary, name)(F, D)
    ours = load_dictionary_learning(theirs(kind, tmp_path / "a"), **OPTIONS.get(kind, {}))
    save_dictionary_learning(tmp_path / "b", ours)
    sae.load_state_dict({n: torch.tensor(a) for n, a in load_file(tmp_path / "b").items()})
    assert_same_outputs(ours, sae)


@pytest.mark.parametrize("kind", KINDS)
def test_saelens_itself_reads_what_is_written(kind, tmp_path):
    module = peer("sae_lens")
    ours = load_saelens(lens(kind, tmp_path / "a"))
    save_saelens(tmp_path / "b", ours)
    sae = module.SAE.load_from_disk(tmp_path / "b")
    assert_same_outputs(ours, sae)


@pytest.mark.parametrize("kind", KINDS)
def test_what_saelens_itself_trains_and_saves_is_read(kind, tmp_path):
    """With directions of other lengths, which it folds into the weights or rescales by."""
    module, torch = peer("sae_lens"), peer("torch")
    sizes = {"d_in": F, "d_sae": D}
    name, more = {
        "matryoshka": ("MatryoshkaBatchTopK", {"k": 3.0, "matryoshka_widths": [2, 5, D]}),
        "topk": ("TopK", {"k": K}),
        "jumprelu": ("JumpReLU", {"target_l0": 3.0, "jumprelu_sparsity_loss_mode": "quadratic"}),
        "gated": ("Gated", {}),
        "standard": ("Standard", {}),
    }[kind]
    config = getattr(module, f"{name}TrainingSAEConfig")(**sizes, **more)
    sae = getattr(module, f"{name}TrainingSAE")(config)
    with torch.no_grad():
        for parameter, value in (GATED if kind == "gated" else WEIGHTS).items():
            getattr(sae, parameter).copy_(torch.tensor(value))
        if kind == "matryoshka":
            sae.topk_threshold.fill_(0.4)
        if kind == "jumprelu":
            sae.threshold.copy_(torch.tensor(THRESHOLD))
        sae.save_inference_model(tmp_path)
        loaded = module.SAE.load_from_disk(tmp_path)
        codes, x_hat = loaded.encode(torch.tensor(X)).numpy(), loaded(torch.tensor(X)).numpy()
    ours = load_saelens(tmp_path)
    assert type(ours.model) is KINDS[kind]
    np.testing.assert_allclose(apply(ours, X[:, None, None], "encode"), codes, atol=1e-5)
    outputs = apply(ours, X[:, None, None], "reconstruct")[:, 0, 0]
    np.testing.assert_allclose(outputs, x_hat, atol=1e-5)
