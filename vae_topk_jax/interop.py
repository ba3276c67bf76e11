"""BatchTopK SAEs to and from the files of `dictionary_learning` and of SAELens.

Weights travel as safetensors and settings as JSON: nothing is unpickled. `dictionary_learning`
itself saves pickles; the file that is read here is made, and what is written is taken back, by

    tensors = {name: tensor.contiguous() for name, tensor in sae.state_dict().items()}
    safetensors.torch.save_file(tensors, path)
    sae.load_state_dict(safetensors.torch.load_file(path))

Both libraries keep a latent that is above their threshold, `BatchTopKSAE` one that reaches its own:
the threshold in a file is the next smaller float, so that the same latents are active. Shift and
scale of a standardised SAE are folded into the weights of a file, which takes inputs as they come.
"""

import json
import numbers
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae_topk_jax.files import write_atomic
from vae_topk_jax.foreign import read_regular
from vae_topk_jax.models.batch_topk_sae import BatchTopKSAE
from vae_topk_jax.selection import check_mean_k
from vae_topk_jax.tensor_files import INTEGERS, Layout, read_tensors, write_tensors

# axes: D latents, F values of an input
_DICTIONARY_LEARNING = {
    "encoder.weight": Layout("DF"),
    "encoder.bias": Layout("D"),
    "decoder.weight": Layout("FD"),
    "b_dec": Layout("F"),
    "threshold": Layout(""),
    "k": Layout("", INTEGERS),
}
_SAELENS = {
    "W_enc": Layout("FD"),
    "b_enc": Layout("D"),
    "W_dec": Layout("DF"),
    "b_dec": Layout("F"),
    "threshold": Layout("D"),
}
_SAELENS_OPTIONAL = {"scaling_factor": Layout("D")}  # once written with every SAE, as ones
_MOST_SETTINGS = 4 << 20  # bytes
_SAELENS_SETTINGS = {
    "architecture": "jumprelu",  # as which SAELens saves a trained BatchTopK SAE
    "apply_b_dec_to_input": True,
    "normalize_activations": "none",
    "reshape_activations": "none",
}
_SAELENS_READ: dict[str, tuple[Any, ...]] = {
    "architecture": ("jumprelu",),
    "apply_b_dec_to_input": (True, False),
    "normalize_activations": ("none", None, False),  # False, None and the next two: before 6.0
    "reshape_activations": ("none", None),
    "activation_fn": ("relu", None),
    "activation_fn_str": ("relu", None),
}
_SAELENS_VERSION = "6.0.0"  # the first of this layout: an older one's metadata would be dropped
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
            threshold, in float32, bfloat16 or float16.

    Returns:
        The SAE of inputs (1, 1, F). How often its latents are active is not in the file: k / D each
        is assumed. Its threshold counts as one batch's, if it is trained further.

    Raises:
        ValueError: not a safetensors file; tensors that are missing or that such an SAE does not
            have, of another shape or type, or with values that are not finite.
        FileNotFoundError: no such file.
    """
    tensors = read_tensors(Path(path), _DICTIONARY_LEARNING)
    params = {
        "W_enc": tensors["encoder.weight"].T,
        "b_enc": tensors["encoder.bias"],
        "W_dec": tensors["decoder.weight"].T,
        "b_dec": tensors["b_dec"],
    }
    threshold = float(tensors["threshold"])
    return _build(params, int(tensors["k"]), threshold if threshold >= 0 else None)


def save_dictionary_learning(path: Path | str, sae: SAE) -> None:
    """The inverse of `load_dictionary_learning`; the folder must be there.

    Raises:
        ValueError: a k that is a fraction, which dictionary_learning does not have.
    """
    if not isinstance(sae.model.k, numbers.Integral):
        raise ValueError(f"k must be an integer for dictionary_learning, got {sae.model.k}")
    params, threshold = in_input_units(sae), _threshold(sae)
    tensors = {
        "encoder.weight": params["W_enc"].T,
        "encoder.bias": params["b_enc"],
        "decoder.weight": params["W_dec"].T,
        "b_dec": params["b_dec"],
        "threshold": np.float32(_UNSET if threshold is None else threshold),
        "k": np.int32(sae.model.k),
    }
    write_tensors(Path(path), tensors)


def load_saelens(folder: Path | str, k: float | None = None) -> SAE:
    """A BatchTopK SAE of SAELens, saved for inference: a JumpReLU SAE with one threshold.

    Args:
        folder: holds cfg.json and sae_weights.safetensors, in float32, bfloat16 or float16.
        k: mean number of active latents, where the metadata in cfg.json do not say how the SAE was
            trained; it may be a fraction.

    Returns:
        As `load_dictionary_learning`. Where the encoder of the file does not subtract b_dec, the
        difference is in b_enc.

    Raises:
        ValueError: as there; settings that are not those of a BatchTopK SAE; a scaling_factor other
            than 1; k unknown.
        FileNotFoundError: a file that is missing.
    """
    folder = Path(folder)
    settings = _read_settings(folder / _SETTINGS)
    tensors = read_tensors(folder / _WEIGHTS, _SAELENS, _SAELENS_OPTIONAL)
    latents, inputs = tensors["W_dec"].shape
    for name, size in (("d_in", inputs), ("d_sae", latents)):
        if (found := settings.get(name, size)) != size:
            raise ValueError(f"{name} in {folder / _SETTINGS} must be {size}, got {found!r}")
    threshold = _single("threshold", tensors.pop("threshold"), folder)
    scaling = tensors.pop("scaling_factor", None)
    if scaling is not None and _single("scaling_factor", scaling, folder) != 1:
        raise ValueError(
            f"scaling_factor in {folder / _WEIGHTS} must be 1, got {scaling[0]:g}: "
            "multiply the rows of W_dec by it"
        )
    if not settings.get("apply_b_dec_to_input", True):
        tensors["b_enc"] = tensors["b_enc"] + tensors["b_dec"] @ tensors["W_enc"]
    k = _training_k(settings, folder / _SETTINGS) if k is None else k
    return _build(tensors, check_mean_k(k, latents), threshold)


def save_saelens(folder: Path | str, sae: SAE) -> None:
    """The inverse of `load_saelens`; makes the folder.

    Raises:
        ValueError: no threshold yet, for the SAE has seen no data.
    """
    params, threshold = in_input_units(sae), _threshold(sae)
    if threshold is None:
        raise ValueError("the SAE has seen no batch yet, so it has no threshold: train it first")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    latents, inputs = params["W_dec"].shape
    settings = _SAELENS_SETTINGS | {
        "d_in": inputs,
        "d_sae": latents,
        "dtype": "float32",
        "device": "cpu",
        "metadata": {
            "sae_lens_version": _SAELENS_VERSION,
            "training_architecture": "batchtopk",
            "training_architecture_details": {"k": sae.model.k},
        },
    }
    write_tensors(folder / _WEIGHTS, {**params, "threshold": np.full(latents, threshold)})
    write_atomic(folder / _SETTINGS, json.dumps(settings, indent=2).encode())


def in_input_units(sae: SAE) -> dict[str, Any]:
    """The parameters with which an SAE that does not standardise its inputs does the same.

        W_enc / scale,    b_enc,    W_dec scale,    b_dec scale + shift

    along the axis of the values of an input. Codes and threshold stay what they are; the directions
    have no longer length 1. Without `standardize` the parameters themselves.

    Examples:
        >>> params = {"W_enc": jnp.ones((1, 1)), "b_enc": jnp.zeros(1)}
        >>> params |= {"W_dec": jnp.ones((1, 1)), "b_dec": jnp.zeros(1)}
        >>> stats = {"shift": jnp.full((1, 1, 1), 3.0), "scale": jnp.full((1, 1, 1), 2.0)}
        >>> variables = {"params": params, "batch_stats": {"standardization": stats}}
        >>> model = BatchTopKSAE((1, 1, 1), latent_dim=1, k=1, standardize="feature")
        >>> folded = in_input_units(SAE(model, variables))
        >>> folded["W_enc"].item(), folded["W_dec"].item(), folded["b_dec"].item()
        (0.5, 2.0, 3.0)
    """
    params = dict(sae.variables["params"])
    if sae.model.standardize == "none":
        return params
    stats = sae.variables["batch_stats"]["standardization"]
    shift_F, scale_F = (np.asarray(stats[name], np.float64).ravel() for name in ("shift", "scale"))
    folded = {
        "W_enc": np.asarray(params["W_enc"]) / scale_F[:, None],
        "W_dec": np.asarray(params["W_dec"]) * scale_F,
        "b_dec": np.asarray(params["b_dec"]) * scale_F + shift_F,
    }
    return params | {name: value.astype(np.float32) for name, value in folded.items()}


def _build(params: Mapping[str, np.ndarray], k: float, threshold: float | None) -> SAE:
    """The SAE with these weights and the threshold of a file; None: it has seen no data."""
    latents, inputs = params["W_dec"].shape
    k = check_mean_k(k, latents)
    model = BatchTopKSAE((1, 1, inputs), latents, k=k)  # type: ignore[arg-type]  # by element
    images = jax.ShapeDtypeStruct((1, 1, 1, inputs), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    stats = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes["batch_stats"])
    if threshold is not None:
        # a latent is never below 0, so that a threshold there lets all that are above it pass
        above = np.nextafter(np.float32(max(threshold, 0)), np.float32(np.inf))
        stats["batch_top_k"] |= {
            "threshold": jnp.asarray(above),
            "frequency": jnp.full(latents, k / latents, jnp.float32),
            "count": jnp.int32(1),
        }
    return SAE(model, {"params": jax.tree.map(jnp.asarray, dict(params)), "batch_stats": stats})


def _threshold(sae: SAE) -> np.float32 | None:
    """As a file has it; None where the SAE has seen no data."""
    stats = sae.variables["batch_stats"]["batch_top_k"]
    if not int(stats["count"]):
        return None
    return np.nextafter(np.float32(max(float(stats["threshold"]), 0)), np.float32(0))


def _single(name: str, values_D: np.ndarray, folder: Path) -> float:
    """The number that all latents have."""
    if not np.all(values_D == values_D[0]):
        raise ValueError(
            f"{name} in {folder} must be one for all latents, as BatchTopK has it, "
            f"got {values_D.min():g} to {values_D.max():g}"
        )
    return float(values_D[0])


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(read_regular(path, _MOST_SETTINGS, follow_link=True))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(settings, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(settings).__name__}")
    for name, allowed in _SAELENS_READ.items():
        if name in settings and (found := settings[name]) not in allowed:
            raise ValueError(f"{name} in {path} must be {allowed[0]!r}, got {found!r}")
    return settings


def _training_k(settings: Mapping[str, Any], path: Path) -> float:
    """The k in the metadata of cfg.json, which say how the SAE was trained."""
    found: Any = settings
    for name in ("metadata", "training_architecture_details", "k"):
        found = found.get(name) if isinstance(found, Mapping) else None
    if found is None:
        raise ValueError(f"k is not in the metadata of {path}: give it as k")
    return found
