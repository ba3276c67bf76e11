"""Where each latent moves the decoder's output, and which latents lie near one another there."""

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from vae_topk_jax.metrics.stitching import cosines
from vae_topk_jax.models import JumpReLUSAE, LadderVAE, TopKSAE, TopKVAE
from vae_topk_jax.models.dictionary import Dictionary
from vae_topk_jax.sae_weights import SAE, in_input_units
from vae_topk_jax.statistics import find_statistics

if TYPE_CHECKING:
    from vae_topk_jax.inference import Inference


_BLOCK = 64  # latents at a time
_EXACT = 200  # points whose forces are summed exactly, which is as fast there
_COMPONENTS = 50  # of the directions, before they are laid out


def decoder_directions(
    model: "Inference", codes_NxD: NDArray
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The direction of every latent in the output, and how far a unit of it moves there.

        direction_d = mean over n of d decode(z_n) / d z_d
        sensitivity_d = sqrt(mean over n of |d decode(z_n) / d z_d|^2)

    Of a dictionary, whose decoder is linear, the rows of W_dec in units of the inputs and their
    lengths.

    Args:
        model: the model.
        codes_NxD: where the derivatives are taken.

    Returns:
        direction_DxF, sensitivity_D.
    """
    if isinstance(model.model, Dictionary):
        rows_DxF = np.asarray(in_input_units(SAE(model.model, model.variables))["W_dec"])
        return rows_DxF, np.linalg.norm(rows_DxF.astype(np.float64), axis=1)
    decode = functools.partial(model.model.apply, method="decode")

    @jax.jit
    def derivatives(variables: dict, z_NxD: Array, tangent_TxD: Array) -> tuple[Array, Array]:
        def along(tangent_D: Array) -> Array:
            tangent_NxD = jnp.broadcast_to(tangent_D, z_NxD.shape)
            moved = jax.jvp(lambda z: decode(variables, z), (z_NxD,), (tangent_NxD,))[1]
            return moved.reshape(len(z_NxD), -1)

        moved_TxNxF = jax.vmap(along)(tangent_TxD)
        squared_T = jnp.mean(jnp.sum(jnp.square(moved_TxNxF), axis=2), axis=1)
        return jnp.mean(moved_TxNxF, axis=1), jnp.sqrt(squared_T)

    size = codes_NxD.shape[1]
    z_NxD = jnp.asarray(codes_NxD, jnp.float32)
    parts = []
    for start in range(0, size, _BLOCK):
        tangent_TxD = jnp.eye(min(_BLOCK, size), size, k=start, dtype=jnp.float32)
        parts.append([np.asarray(x) for x in derivatives(model.variables, z_NxD, tangent_TxD)])
    direction_DxF, sensitivity_D = (
        np.concatenate(found)[:size] for found in zip(*parts, strict=True)
    )
    return direction_DxF, sensitivity_D.astype(np.float64)


def thresholds(model: "Inference") -> NDArray[np.float64] | None:
    """threshold_D, the size from which on a latent is active; None where no such rule is at work,
    or where it rests on more than the latent's value."""
    system, size = model.model, model.config.latent_dim
    if isinstance(system, JumpReLUSAE):
        return np.asarray(model.variables["params"]["threshold"], np.float64)
    statistics = find_statistics(model.state.batch_stats)
    if statistics is None:
        return None
    level_D = np.full(size, statistics.threshold, np.float64)
    if isinstance(system, Dictionary):
        return None if isinstance(system, TopKSAE) else level_D
    if not isinstance(system, TopKVAE | LadderVAE) or (system.selection, system.score) != (
        "element",
        "abs_mu",
    ):
        return None
    if isinstance(system, LadderVAE):
        is_dense_D = np.repeat(np.equal(system.levels, system.level_k), system.levels)
        level_D = np.where(is_dense_D, 0.0, level_D)
    if not system.sensitivity_every:
        return level_D
    squared_D = model.state.batch_stats["sensitivity"]["squared"]
    sensitivity_D = np.sqrt(np.asarray(squared_D, np.float64))
    levels = [sensitivity_D]
    if isinstance(system, LadderVAE):
        levels = system.by_level(sensitivity_D)
    mean_D = np.concatenate([np.full_like(x_D, max(x_D.mean(), 1e-12)) for x_D in levels])
    return level_D * mean_D / np.maximum(sensitivity_D, 1e-12)


def nearest(
    direction_DxF: NDArray, among: NDArray[np.bool_], n: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """For each latent the n others of the largest |cosine|, and those cosines.

    Args:
        direction_DxF: the directions.
        among: which latents may be neighbours.
        n: how many.

    Examples:
        >>> rows = np.array([[1.0, 0.0], [-2.0, 0.0], [1.0, 1.0]])
        >>> found = list(nearest(rows, np.ones(3, bool), 1))
        >>> [(latent.tolist(), cosine.round(2).tolist()) for latent, cosine in found]
        [([1], [-1.0]), ([0], [-1.0]), ([0], [0.71])]
    """
    others = np.flatnonzero(among)
    for start in range(0, len(direction_DxF), _BLOCK):
        cosine_BxO = cosines(direction_DxF[start : start + _BLOCK], direction_DxF[others])
        for latent, cosine_O in enumerate(cosine_BxO, start):
            rank_O = np.where(others == latent, -1.0, np.abs(cosine_O))
            first = np.argsort(-rank_O, kind="stable")[:n]
            first = first[rank_O[first] >= 0]
            yield others[first], cosine_O[first]


def layout(direction_MxF: NDArray) -> NDArray[np.float64]:
    """A place in the unit square for each direction, near directions near one another.

    t-SNE of the 50 first principal components of the unit directions, started from the first two of
    them, which alone place fewer than ten.

    Examples:
        >>> layout(np.eye(3)).min(axis=0).tolist(), layout(np.eye(3)).max(axis=0).tolist()
        ([0.0, 0.0], [1.0, 1.0])

    References:
        van der Maaten & Hinton, "Visualizing Data using t-SNE", JMLR 2008; Kobak & Linderman,
        "Initialization is critical for preserving global data structure", 2021.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    count = len(direction_MxF)
    if count < 3:
        return np.column_stack([np.linspace(0, 1, count), np.full(count, 0.5)])
    length_Mx1 = np.linalg.norm(direction_MxF, axis=1, keepdims=True)
    unit_MxF = np.asarray(direction_MxF / np.maximum(length_Mx1, 1e-12), np.float64)
    components = min(_COMPONENTS, count, unit_MxF.shape[1])
    place_MxC = PCA(components, svd_solver="full").fit_transform(unit_MxF)
    place_Mx2 = np.pad(place_MxC, [(0, 0), (0, max(0, 2 - components))])[:, :2]
    if count >= 10:
        first_Mx2 = (place_Mx2 / max(place_Mx2[:, 0].std(), 1e-12) * 1e-4).astype(np.float32)
        perplexity = min(30.0, (count - 1) / 3)
        method = "exact" if count <= _EXACT else "barnes_hut"
        tsne = TSNE(perplexity=perplexity, init=first_Mx2, method=method, random_state=0)
        place_Mx2 = tsne.fit_transform(place_MxC.astype(np.float32)).astype(np.float64)
    low, extent = place_Mx2.min(axis=0), np.ptp(place_Mx2, axis=0)
    return (place_Mx2 - low) / np.where(extent > 1e-12, extent, 1.0)
