"""BatchTopK SAEs to and from the files of `dictionary_learning` and of SAELens.

Weights travel as safetensors and settings as JSON: nothing is unpickled. `dictionary_learning`
itself saves pickles; `safetensors.torch.save_file(sae.state_dict(), path)` makes the file that is
read here, and `sae.load_state_dict(safetensors.torch.load_file(path))` takes back what is written.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from vae_topk_jax.files import write_atomic
from vae_topk_jax.models.batch_topk_sae import BatchTopKSAE
from vae_topk_jax.selection import check_k

# names of the tensors, and their axes: D latents, F values of an input
_DICTIONARY_LEARNING = {
    "encoder.weight": "DF",
    "encoder.bias": "D",
    "decoder.weight": "FD",
    "b_dec": "F",
    "threshold": "",
    "k": "",
}
_SAELENS = {"W_enc": "FD", "b_enc": "D", "W_dec": "DF", "b_dec": "F", "threshold": "D"}
_SAELENS_SETTINGS = {
    "architecture": "jumprelu",  # as which SAELens saves a trained BatchTopK SAE
    "normalize_activations": "none",
    "reshape_activations": "none",
}
_WEIGHTS, _SETTINGS = "sae_weights.safetensors", "cfg.json"
_UNSET = -1.0  # the threshold of an SAE that has seen no data, in dictionary_learning


class SAE(NamedTuple):
    """A sparse autoencoder with its weights.

    `SAE(inference.model, inference.variables)` is that of a trained model.

    Attributes:
        model: the linen module.
        variables: {"params": ..., "batch_stats": ...}.
    """

    model: BatchTopKSAE
    variables: Mapping[str, Any]


def load_dictionary_learning(path: Path | str) -> SAE:
    """A `BatchTopKSAE` of dictionary_learning, from its state dict.

    Args:
        path: a safetensors file with encoder.weight, encoder.bias, decoder.weight, b_dec, k and
            threshold.

    Returns:
        The SAE of inputs (1, 1, F). How often its latents are active is not in the file: k / D each
        is assumed. Its threshold counts as one batch's, if it is trained further.

    Raises:
        ValueError: not a safetensors file, tensors that are missing or of another shape or type,
            values that are not finite.
    """
    tensors = _read(Path(path), _DICTIONARY_LEARNING)
    params = {
        "W_enc": tensors["encoder.weight"].T,
        "b_enc": tensors["encoder.bias"],
        "W_dec": tensors["decoder.weight"].T,
        "b_dec": tensors["b_dec"],
    }
    return _build(params, int(tensors["k"]), float(tensors["threshold"]))


def save_dictionary_learning(path: Path | str, sae: SAE) -> None:
    """The inverse of `load_dictionary_learning`; the folder must be there."""
    params = sae.variables["params"]
    tensors = {
        "encoder.weight": params["W_enc"].T,
        "encoder.bias": params["b_enc"],
        "decoder.weight": params["W_dec"].T,
        "b_dec": params["b_dec"],
        "threshold": np.float32(_threshold(sae)),
        "k": np.int32(sae.model.k),
    }
    _write(Path(path), tensors)


def load_saelens(folder: Path | str, k: int | None = None) -> SAE:
    """A BatchTopK SAE of SAELens, saved for inference: a JumpReLU SAE with one threshold.

    Args:
        folder: holds cfg.json and sae_weights.safetensors.
        k: mean number of active latents, where the metadata in cfg.json do not say how the SAE was
            trained.

    Returns:
        As `load_dictionary_learning`. Where the encoder of the file does not subtract b_dec, the
        difference is in b_enc.

    Raises:
        ValueError: as there; settings that are not those of a BatchTopK SAE; k unknown.
        FileNotFoundError: a file that is missing.
    """
    folder = Path(folder)
    settings = _read_settings(folder / _SETTINGS)
    tensors = _read(folder / _WEIGHTS, _SAELENS)
    threshold_D = tensors.pop("threshold")
    if not np.all(threshold_D == threshold_D[0]):
        raise ValueError(
            f"threshold in {folder} must be one for all latents, as BatchTopK has it, "
            f"got {threshold_D.min():g} to {threshold_D.max():g}"
        )
    if not settings.get("apply_b_dec_to_input", True):
        tensors["b_enc"] = tensors["b_enc"] + tensors["b_dec"] @ tensors["W_enc"]
    training = (settings.get("metadata") or {}).get("training_architecture_details") or {}
    k = training.get("k") if k is None else k
    if k is None:
        raise ValueError(f"k is not in the metadata of {folder / _SETTINGS}: give it as k")
    return _build(tensors, int(k) if k == int(k) else k, float(threshold_D[0]))


def save_saelens(folder: Path | str, sae: SAE) -> None:
    """The inverse of `load_saelens`; makes the folder.

    Raises:
        ValueError: no threshold yet, for the SAE has seen no data.
    """
    params, threshold = sae.variables["params"], _threshold(sae)
    if threshold == _UNSET:
        raise ValueError("the SAE has seen no batch yet, so it has no threshold: train it first")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    latents, inputs = params["W_dec"].shape
    settings = _SAELENS_SETTINGS | {
        "d_in": inputs,
        "d_sae": latents,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "metadata": {
            "training_architecture": "batchtopk",
            "training_architecture_details": {"k": sae.model.k},
        },
    }
    _write(folder / _WEIGHTS, {**params, "threshold": np.full(latents, threshold, np.float32)})
    write_atomic(folder / _SETTINGS, json.dumps(settings, indent=2).encode())


def _build(params: Mapping[str, np.ndarray], k: int, threshold: float) -> SAE:
    latents, inputs = params["W_dec"].shape
    model = BatchTopKSAE((1, 1, inputs), latents, k=check_k(k, latents))
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 1, 1, inputs)))
    stats = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes["batch_stats"])
    if threshold >= 0:
        stats["batch_top_k"] |= {
            "threshold": jnp.float32(threshold),
            "frequency": jnp.full(latents, k / latents, jnp.float32),
            "count": jnp.int32(1),
        }
    return SAE(model, {"params": jax.tree.map(jnp.asarray, dict(params)), "batch_stats": stats})


def _threshold(sae: SAE) -> float:
    stats = sae.variables["batch_stats"]["batch_top_k"]
    return float(stats["threshold"]) if int(stats["count"]) else _UNSET


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(settings, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(settings).__name__}")
    for name, expected in _SAELENS_SETTINGS.items():
        if (found := settings.get(name, expected)) != expected:
            raise ValueError(f"{name} in {path} must be {expected!r}, got {found!r}")
    return settings


def _read(path: Path, axes: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The tensors of these names and axes, their types and shapes checked before they are read."""
    sizes: dict[str, int] = {}
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            if missing := sorted(axes.keys() - file.keys()):
                raise ValueError(f"{path} lacks {', '.join(missing)}")
            for name, letters in axes.items():
                _check(path, name, letters, file.get_slice(name), sizes)
            tensors = {name: file.get_tensor(name) for name in axes}
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from None
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ValueError(f"{name} in {path} must be finite, got NaN or infinite values")
    return tensors


def _check(path: Path, name: str, letters: str, found: Any, sizes: dict[str, int]) -> None:
    kinds = ("I32", "I64") if name == "k" else ("F32",)
    if found.get_dtype() not in kinds:
        raise ValueError(f"{name} in {path} must be {' or '.join(kinds)}, got {found.get_dtype()}")
    shape = tuple(found.get_shape())
    if len(shape) == len(letters):
        for letter, size in zip(letters, shape, strict=True):
            sizes.setdefault(letter, size)
    expected = tuple(sizes.get(letter, letter) for letter in letters)
    if shape != expected:
        raise ValueError(f"{name} in {path} must have shape {expected}, got {shape}")


def _write(path: Path, tensors: Mapping[str, Any]) -> None:
    # safetensors writes the memory as it lies: a transposed view must be copied first
    whole = {name: np.array(tensor, order="C") for name, tensor in tensors.items()}
    write_atomic(path, safetensors.numpy.save(whole))
