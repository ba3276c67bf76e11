"""A dictionary with weights that come from a file, or go into one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae_topk_jax.models.dictionary import Dictionary
from vae_topk_jax.models.top_k_sae import TopKDictionary
from vae_topk_jax.selection import check_mean_k


class SAE(NamedTuple):
    """A sparse autoencoder with its weights.

    `SAE(inference.model, inference.variables)` is that of a trained model.

    Attributes:
        model: the linen module.
        variables: {"params": ..., "batch_stats": ...}.
    """

    model: Dictionary
    variables: Mapping[str, Any]


def build(
    kind: type[Dictionary],
    params: Mapping[str, np.ndarray],
    k: float | None = None,
    threshold: float | None = None,
    widths: list[int] | None = None,
) -> SAE:
    """The SAE with these weights, as if it had seen one batch.

    A TopK or BatchTopK SAE without a threshold, or with one below 0, has seen none.

    Args:
        kind: the system.
        params: its weights.
        k: the mean number of active latents, where the system has one.
        threshold: as a file has it.
        widths: the inner ones of a Matryoshka SAE.

    Raises:
        ValueError: a k that does not fit the number of latents.
    """
    latents, inputs = params["W_dec"].shape
    fields: dict[str, Any] = {} if k is None else {"k": check_mean_k(k, latents)}
    if widths is not None:
        fields["group_fractions"] = tuple(width / latents for width in widths)
    model = kind((1, 1, inputs), latents, **fields)
    images = jax.ShapeDtypeStruct((1, 1, 1, inputs), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    stats = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes["batch_stats"])
    has_threshold = threshold is not None and threshold >= 0
    if has_threshold or not issubclass(kind, TopKDictionary):
        # a latent is never below 0, so that a threshold there lets all that are above it pass
        above = np.nextafter(np.float32(max(threshold or 0, 0)), np.float32(np.inf))
        stats["batch_top_k"] |= {
            "threshold": jnp.asarray(above),
            "frequency": jnp.full(latents, (k or latents) / latents, jnp.float32),
            "count": jnp.int32(1),
        }
    return SAE(model, {"params": jax.tree.map(jnp.asarray, dict(params)), "batch_stats": stats})


def in_input_units(sae: SAE) -> dict[str, Any]:
    """The parameters with which an SAE that does not standardise its inputs does the same.

        W_enc / scale,    b_enc,    W_dec scale,    b_dec scale + shift

    along the axis of the values of an input. Codes and threshold stay what they are; the directions
    have no longer length 1. Without `standardize` the parameters themselves.

    Examples:
        >>> from vae_topk_jax.models import BatchTopKSAE
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


def file_threshold(sae: SAE) -> np.float32 | None:
    """The threshold as a file has it; None where the SAE has seen no data."""
    stats = sae.variables["batch_stats"]["batch_top_k"]
    if not int(stats["count"]):
        return None
    return np.nextafter(np.float32(max(float(stats["threshold"]), 0)), np.float32(0))


def inner_widths(widths: Any, W_dec: np.ndarray, path: Path) -> list[int]:
    """The inner widths, those below the number of latents, which is the last.

    Args:
        widths: as a file has them.
        W_dec: the directions.
        path: of the file.

    Raises:
        ValueError: what are no widths of an SAE of so many latents.

    Examples:
        >>> inner_widths([2, 4, 8], np.ones((8, 3)), Path("cfg.json"))
        [2, 4]
    """
    ascends = (
        isinstance(widths, list)
        and all(type(width) is int for width in widths)
        and widths == sorted(set(widths))
    )
    if not ascends or len(widths) < 2 or widths[0] < 1 or widths[-1] != len(W_dec):
        raise ValueError(
            f"widths in {path} must ascend to the {len(W_dec)} latents, two or more, got {widths}"
        )
    return widths[:-1]
