"""SAEs to and from the files of `dictionary_learning` and of SAELens.

| here | dictionary_learning | SAELens |
| --- | --- | --- |
| `BatchTopKSAE` | `BatchTopKSAE` | a JumpReLU SAE with one threshold, as it saves its own |
| `MatryoshkaSAE` | `MatryoshkaBatchTopKSAE` | the same, with widths in the metadata |
| `TopKSAE` | `AutoEncoderTopK` | "topk" |
| `JumpReLUSAE` | `JumpReluAutoEncoder` | "jumprelu" |
| `GatedSAE` | `GatedAutoEncoder` | "gated" |
| `ReLUSAE` | `AutoEncoder` | "standard" |

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
from typing import Any

import numpy as np

from vae_topk_jax.files import write_atomic
from vae_topk_jax.foreign import read_regular
from vae_topk_jax.models import (
    BatchTopKSAE,
    GatedSAE,
    JumpReLUSAE,
    MatryoshkaSAE,
    ReLUSAE,
    TopKSAE,
)
from vae_topk_jax.sae_weights import SAE, build, file_threshold, in_input_units, inner_widths
from vae_topk_jax.selection import check_k, check_mean_k
from vae_topk_jax.tensor_files import (
    INTEGERS,
    Layout,
    read_tensors,
    tensor_names,
    write_tensors,
)

# axes: D latents, F values of an input
_DICTIONARY_LEARNING = {
    "encoder.weight": Layout("DF"),
    "encoder.bias": Layout("D"),
    "decoder.weight": Layout("FD"),
    "b_dec": Layout("F"),
    "threshold": Layout(""),
    "k": Layout("", INTEGERS),
}
_STANDARD = {
    "bias": Layout("F"),
    "encoder.weight": Layout("DF"),
    "encoder.bias": Layout("D"),
    "decoder.weight": Layout("FD"),
}
_GATED = {
    "decoder_bias": Layout("F"),
    "encoder.weight": Layout("DF"),
    "gate_bias": Layout("D"),
    "r_mag": Layout("D"),
    "mag_bias": Layout("D"),
    "decoder.weight": Layout("FD"),
}
_WEIGHT = {
    "W_enc": Layout("FD"),
    "b_enc": Layout("D"),
    "W_dec": Layout("DF"),
    "b_dec": Layout("F"),
}
_MATRYOSHKA = _WEIGHT | {
    "threshold": Layout(""),
    "k": Layout("", INTEGERS),
    "group_sizes": Layout("G", INTEGERS),
}
_SAELENS = _WEIGHT | {"threshold": Layout("D")}
_SAELENS_GATED = {
    "W_enc": Layout("FD"),
    "b_gate": Layout("D"),
    "r_mag": Layout("D"),
    "b_mag": Layout("D"),
    "W_dec": Layout("DF"),
    "b_dec": Layout("F"),
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
    "architecture": ("jumprelu", "topk", "gated", "standard"),
    "apply_b_dec_to_input": (True, False),
    "normalize_activations": ("none", None, False),  # False, None and the next two: before 6.0
    "reshape_activations": ("none", None),
    "activation_fn": ("relu", None),
    "activation_fn_str": ("relu", None),
}
_SAELENS_VERSION = "6.0.0"  # the first of this layout: an older one's metadata would be dropped
_WEIGHTS, _SETTINGS = "sae_weights.safetensors", "cfg.json"
_GROUPS = "matryoshka_widths"
_UNSET = -1.0  # the threshold of an SAE that has seen no data, in dictionary_learning


def load_dictionary_learning(
    path: Path | str, k: int | None = None, *, per_input: bool = False
) -> SAE:
    """An SAE of dictionary_learning, from its state dict; which one, the names of its tensors say.

    Args:
        path: a safetensors file with the tensors of one of the classes above, in float32, bfloat16
            or float16.
        k: the mean number of active latents that a JumpReLU SAE is trained further with; the other
            files hold it.
        per_input: an `AutoEncoderTopK`, whose tensors are those of a `BatchTopKSAE`.

    Returns:
        The SAE of inputs (1, 1, F). How often its latents are active is not in the file: k / D each
        is assumed. Its threshold counts as one batch's, if it is trained further.

    Raises:
        ValueError: not a safetensors file; tensors that are missing or that such an SAE does not
            have, of another shape or type, or with values that are not finite; a k that is missing,
            or that the file holds already.
        FileNotFoundError: no such file.
    """
    path = Path(path)
    names = tensor_names(path)
    is_jump_relu = {"W_enc", "threshold"} <= names and "k" not in names
    if (k is None) == is_jump_relu:
        raise ValueError(
            f"k is not in {path}: give it as k" if is_jump_relu else f"k is decided by {path}: {k}"
        )
    if per_input and not names >= {"encoder.weight", "k"}:
        raise ValueError(f"per_input must be False, for {path} is no TopK SAE, got True")
    if is_jump_relu:
        assert k is not None
        tensors = read_tensors(path, _SAELENS)
        tensors["b_enc"] = tensors["b_enc"] + tensors["b_dec"] @ tensors["W_enc"]
        return build(JumpReLUSAE, tensors, k)
    if "group_sizes" in names:
        tensors = read_tensors(path, _MATRYOSHKA)
        k, threshold = int(tensors.pop("k")), float(tensors.pop("threshold"))
        sizes = tensors.pop("group_sizes")
        widths = inner_widths([int(size) for size in np.cumsum(sizes)], tensors["W_dec"], path)
        return build(MatryoshkaSAE, tensors, k, threshold, widths)
    if "bias" in names:
        tensors = read_tensors(path, _STANDARD)
        return build(ReLUSAE, _transposed(tensors, tensors["encoder.bias"], tensors["bias"]))
    if "gate_bias" in names:
        tensors = read_tensors(path, _GATED)
        weights = _transposed(tensors, tensors["gate_bias"], tensors["decoder_bias"])
        return build(GatedSAE, weights | {"r_mag": tensors["r_mag"], "b_mag": tensors["mag_bias"]})
    tensors = read_tensors(path, _DICTIONARY_LEARNING)
    return build(
        TopKSAE if per_input else BatchTopKSAE,
        _transposed(tensors, tensors["encoder.bias"], tensors["b_dec"]),
        int(tensors["k"]),
        float(tensors["threshold"]),
    )


def save_dictionary_learning(path: Path | str, sae: SAE) -> None:
    """The inverse of `load_dictionary_learning`; the folder must be there.

    Raises:
        ValueError: a k that is a fraction, which dictionary_learning does not have.
    """
    model, params = sae.model, in_input_units(sae)
    if isinstance(model, JumpReLUSAE):
        b_enc = params["b_enc"] - params["b_dec"] @ params["W_enc"]
        write_tensors(Path(path), params | {"b_enc": b_enc})
        return
    b_enc, b_dec, linear = params["b_enc"], params["b_dec"], _untransposed(params)
    if isinstance(model, ReLUSAE):
        tensors = linear | {"encoder.bias": b_enc, "bias": b_dec}
    elif isinstance(model, GatedSAE):
        magnitude = {"r_mag": params["r_mag"], "mag_bias": params["b_mag"]}
        tensors = linear | magnitude | {"gate_bias": b_enc, "decoder_bias": b_dec}
    else:
        k = getattr(model, "k", None)
        if not isinstance(k, numbers.Integral):
            raise ValueError(f"k must be an integer for dictionary_learning, got {k}")
        threshold = file_threshold(sae)
        statistics = {
            "threshold": np.float32(_UNSET if threshold is None else threshold),
            "k": np.int32(k),
        }
        if isinstance(model, MatryoshkaSAE):
            sizes = np.diff([0, *model.widths])
            tensors = params | statistics | {"group_sizes": sizes.astype(np.int64)}
        else:
            tensors = linear | {"encoder.bias": b_enc, "b_dec": b_dec} | statistics
    write_tensors(Path(path), tensors)


def load_saelens(folder: Path | str, k: float | None = None) -> SAE:
    """An SAE of SAELens, saved for inference; which one, its settings say.

    Args:
        folder: holds cfg.json and sae_weights.safetensors, in float32, bfloat16 or float16.
        k: mean number of active latents, where the metadata in cfg.json do not say how the SAE was
            trained; for a BatchTopK SAE it may be a fraction.

    Returns:
        As `load_dictionary_learning`. Where the encoder of the file does not subtract b_dec, the
        difference is in b_enc; where its latents are rescaled by the lengths of their directions,
        the weights are.

    Raises:
        ValueError: as there; settings that are not those of such an SAE; a scaling_factor other
            than 1; k unknown.
        FileNotFoundError: a file that is missing.
    """
    folder = Path(folder)
    settings = _read_settings(folder / _SETTINGS)
    architecture = settings.get("architecture", "jumprelu")
    layouts = {"jumprelu": _SAELENS, "gated": _SAELENS_GATED}.get(architecture, _WEIGHT)
    tensors = read_tensors(folder / _WEIGHTS, layouts, _SAELENS_OPTIONAL)
    latents, inputs = tensors["W_dec"].shape
    for name, size in (("d_in", inputs), ("d_sae", latents)):
        if (found := settings.get(name, size)) != size:
            raise ValueError(f"{name} in {folder / _SETTINGS} must be {size}, got {found!r}")
    training = _nested(settings, "metadata", "training_architecture")
    if architecture == "jumprelu" and training != "jumprelu":
        threshold = _single("threshold", tensors.pop("threshold"), folder)
    scaling = tensors.pop("scaling_factor", None)
    if scaling is not None and _single("scaling_factor", scaling, folder) != 1:
        raise ValueError(
            f"scaling_factor in {folder / _WEIGHTS} must be 1, got {scaling[0]:g}: "
            "multiply the rows of W_dec by it"
        )
    if architecture == "gated":
        tensors["b_enc"] = tensors.pop("b_gate")
    if not settings.get("apply_b_dec_to_input", True):
        moved_D = tensors["b_dec"] @ tensors["W_enc"]
        tensors["b_enc"] = tensors["b_enc"] + moved_D
        if architecture == "gated":
            tensors["b_mag"] = tensors["b_mag"] + np.exp(tensors["r_mag"]) * moved_D
    if architecture in ("standard", "gated"):
        return build(ReLUSAE if architecture == "standard" else GatedSAE, tensors)
    if architecture == "topk":
        if settings.get("rescale_acts_by_decoder_norm", False):
            tensors = _rescaled(tensors)
        k = settings.get("k") if k is None else k
        return build(TopKSAE, tensors, check_k(k, latents))  # type: ignore[arg-type]
    if training == "jumprelu":
        target = _training_k(settings, folder / _SETTINGS, "target_l0") if k is None else k
        return build(JumpReLUSAE, tensors, check_k(check_mean_k(target, latents), latents))  # type: ignore[arg-type]
    k = _training_k(settings, folder / _SETTINGS) if k is None else k
    k = check_mean_k(k, latents)
    if training == "matryoshka_batchtopk":
        widths = _nested(settings, "metadata", "training_architecture_details", _GROUPS)
        widths = inner_widths(widths, tensors["W_dec"], folder / _SETTINGS)
        return build(MatryoshkaSAE, tensors, k, threshold, widths)
    return build(BatchTopKSAE, tensors, k, threshold)


def save_saelens(folder: Path | str, sae: SAE) -> None:
    """The inverse of `load_saelens`; makes the folder.

    Raises:
        ValueError: no threshold yet, for the SAE has seen no data.
    """
    model, params = sae.model, in_input_units(sae)
    latents, inputs = params["W_dec"].shape
    settings = _SAELENS_SETTINGS | {
        "d_in": inputs,
        "d_sae": latents,
        "dtype": "float32",
        "device": "cpu",
    }
    details: dict[str, Any] = {}
    if isinstance(model, ReLUSAE):
        training = settings["architecture"] = "standard"
    elif isinstance(model, GatedSAE):
        training = settings["architecture"] = "gated"
        params["b_gate"] = params.pop("b_enc")
    elif isinstance(model, TopKSAE):
        training = settings["architecture"] = "topk"
        settings |= {"k": model.k, "rescale_acts_by_decoder_norm": False}
        details = {"k": model.k}
    elif isinstance(model, JumpReLUSAE):
        training, details = "jumprelu", {"target_l0": model.k}
    else:
        threshold = file_threshold(sae)
        if threshold is None:
            raise ValueError(
                "the SAE has seen no batch yet, so it has no threshold: train it first"
            )
        params["threshold"] = np.full(latents, threshold)
        training, details = "batchtopk", {"k": model.k}
        if isinstance(model, MatryoshkaSAE):
            training, details = "matryoshka_batchtopk", details | {_GROUPS: list(model.widths)}
    settings["metadata"] = {
        "sae_lens_version": _SAELENS_VERSION,
        "training_architecture": training,
        "training_architecture_details": details,
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / _WEIGHTS, params)
    write_atomic(folder / _SETTINGS, json.dumps(settings, indent=2).encode())


def _transposed(
    tensors: Mapping[str, np.ndarray], b_enc: np.ndarray, b_dec: np.ndarray
) -> dict[str, np.ndarray]:
    return {
        "W_enc": tensors["encoder.weight"].T,
        "b_enc": b_enc,
        "W_dec": tensors["decoder.weight"].T,
        "b_dec": b_dec,
    }


def _untransposed(params: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "encoder.weight": params["W_enc"].T,
        "decoder.weight": params["W_dec"].T,
    }


def _rescaled(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Latents times the lengths of their directions, and directions of length 1."""
    length_D = np.linalg.norm(tensors["W_dec"], axis=1)
    length_D = np.where(length_D > 0, length_D, 1).astype(np.float32)
    return tensors | {
        "W_enc": tensors["W_enc"] * length_D,
        "b_enc": tensors["b_enc"] * length_D,
        "W_dec": tensors["W_dec"] / length_D[:, None],
    }


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
            known = " or ".join(repr(x) for x in allowed if isinstance(x, str)) or allowed[0]
            raise ValueError(f"{name} in {path} must be {known}, got {found!r}")
    return settings


def _training_k(settings: Mapping[str, Any], path: Path, name: str = "k") -> float:
    """The k in the metadata of cfg.json, which say how the SAE was trained."""
    found = _nested(settings, "metadata", "training_architecture_details", name)
    if found is None:
        raise ValueError(f"{name} is not in the metadata of {path}: give it as k")
    return found


def _nested(settings: Mapping[str, Any], *names: str) -> Any:
    """The setting under these names, one inside the other; None where there is none."""
    found: Any = settings
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
