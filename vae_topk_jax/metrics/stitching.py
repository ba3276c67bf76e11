"""Stitching: what a large sparse autoencoder has that a small one has not.

A latent of the large one is novel if no direction of the small one comes near its own, else it is
a reconstruction latent: another version of what the small one has already. Going from the small one
to the large one, latent by latent, shows whether the error agrees.

References: Leask et al., "Sparse Autoencoders Do Not Find Canonical Units of Analysis", ICLR 2025,
section 4. NumPy; nothing here knows which model made the codes.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.floating]


class Side(NamedTuple):
    """One of the two autoencoders: x_hat = codes @ directions + bias.

    Attributes:
        codes_NxD: of the inputs that the error is measured on.
        directions_DxF: the decoder.
        bias_F: its bias.
    """

    codes_NxD: Floats
    directions_DxF: Floats
    bias_F: Floats

    @property
    def reconstructions_NxF(self) -> Floats:
        """The outputs."""
        return self.codes_NxD @ self.directions_DxF + self.bias_F

    def part(self, latents: Sequence[int]) -> Floats:
        """part_NxF, what these latents add to the outputs."""
        latents = list(latents)
        return self.codes_NxD[:, latents] @ self.directions_DxF[latents]


class Step(NamedTuple):
    """One step on the way from the small one to the large one.

    Attributes:
        kind: "insert" a novel latent, "swap" reconstruction latents for what they replace, or
            "drop" a latent that nothing replaces.
        added: latents of the large one that come in.
        removed: latents of the small one that go.
    """

    kind: Literal["insert", "swap", "drop"]
    added: Sequence[int]
    removed: Sequence[int]


class Verdict(NamedTuple):
    """What a threshold on the cosine makes of the large one's latents.

    Attributes:
        threshold: the smallest cosine of a reconstruction latent.
        novel: how many latents are novel.
        swaps: how many groups the others form.
        error: mean squared error of the small one with all novel latents inserted.
        worst: the largest error on the path.
        helping: the fraction of novel latents that lower the error when inserted alone.
        harming: the fraction of reconstruction latents that raise it then.
    """

    threshold: float
    novel: int
    swaps: int
    error: float
    worst: float
    helping: float
    harming: float


def cosines(small_SxF: Floats, large_LxF: Floats) -> Floats:
    """The cosine of every direction of the small one with every one of the large one.

    Examples:
        >>> cosines(np.array([[2.0, 0.0]]), np.array([[3.0, 0.0], [0.0, 1.0]])).tolist()
        [[1.0, 0.0]]
    """
    small, large = (
        rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        for rows in (small_SxF, large_LxF)
    )
    return small @ large.T


def stitching_path(cosine_SxL: Floats, threshold: float) -> list[Step]:
    """The steps from the small one to the large one.

    First the novel latents, one by one, the most novel first. Then the reconstruction latents, with
    whatever of the small one comes as near as `threshold` to any of them: directions that are
    linked so, through others too, change sides together, the most similar group first. Last, the
    latents of the small one that resemble none of the large one go.

    Args:
        cosine_SxL: as `cosines` gives it.
        threshold: the smallest cosine of two latents that are versions of one another.

    Raises:
        ValueError: a threshold outside (0, 1].

    Examples:
        >>> steps = stitching_path(np.array([[0.9, 0.8, 0.1], [0.2, 0.0, 0.3]]), 0.7)
        >>> [(step.kind, list(step.added), list(step.removed)) for step in steps]
        [('insert', [2], []), ('swap', [0, 1], [0]), ('drop', [], [1])]
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be a cosine in (0, 1], got {threshold}")
    near_SxL = cosine_SxL >= threshold
    novel = np.flatnonzero(~near_SxL.any(axis=0))
    steps = [Step("insert", [i], []) for i in _by(novel, cosine_SxL.max(axis=0))]
    for removed, added in _groups(cosine_SxL, near_SxL):
        steps.append(Step("swap", added, removed))
    return steps + [Step("drop", [], [i]) for i in np.flatnonzero(~near_SxL.any(axis=1)).tolist()]


def path_errors(x_NxF: Floats, small: Side, large: Side, path: Iterable[Step]) -> Floats:
    """The mean squared error of the small one, then of what it has become after each step.

    The decoder's bias moves from that of the small one to that of the large one in equal parts.

    Args:
        x_NxF: the inputs.
        small, large: with their codes of these inputs.
        path: as `stitching_path` gives it.

    Returns:
        error_T, one more than there are steps; the last is that of the large one.
    """
    path = list(path)
    residual_NxF = x_NxF - small.reconstructions_NxF
    shift_F = (large.bias_F - small.bias_F) / max(len(path), 1)
    errors = [np.vdot(residual_NxF, residual_NxF)]
    for step in path:
        residual_NxF -= shift_F
        if step.added:
            residual_NxF -= large.part(step.added)
        if step.removed:
            residual_NxF += small.part(step.removed)
        errors.append(np.vdot(residual_NxF, residual_NxF))
    return np.asarray(errors) / residual_NxF.size


def insertion_effects(x_NxF: Floats, small: Side, large: Side) -> Floats:
    """change_L: by how much each latent of the large one, inserted alone, changes the small one's
    mean squared error.

        mean_n |r_n - f_n d|^2 - |r_n|^2 = mean_n f_n^2 |d|^2 - 2 f_n <r_n, d>
    """
    residual_NxF = x_NxF - small.reconstructions_NxF
    along_NxL = residual_NxF @ large.directions_DxF.T
    length_L = np.square(large.directions_DxF).sum(axis=1)
    change_NxL = np.square(large.codes_NxD) * length_L - 2 * large.codes_NxD * along_NxL
    return change_NxL.mean(axis=0) / x_NxF.shape[1]


def sweep(x_NxF: Floats, small: Side, large: Side, thresholds: Iterable[float]) -> list[Verdict]:
    """What each threshold makes of the latents; the two sides as in `path_errors`."""
    cosine_SxL = cosines(small.directions_DxF, large.directions_DxF)
    effect_L = insertion_effects(x_NxF, small, large)
    verdicts = []
    for threshold in thresholds:
        path = stitching_path(cosine_SxL, threshold)
        errors = path_errors(x_NxF, small, large, path)
        novel = np.asarray([step.added[0] for step in path if step.kind == "insert"], int)
        verdicts.append(
            Verdict(
                threshold=float(threshold),
                novel=len(novel),
                swaps=sum(step.kind == "swap" for step in path),
                error=float(errors[len(novel)]),
                worst=float(np.max(errors)),
                helping=_share(effect_L[novel] < 0),
                harming=_share(np.delete(effect_L, novel) > 0),
            )
        )
    return verdicts


def _groups(cosine_SxL: Floats, near_SxL: NDArray[np.bool_]) -> list[tuple[list[int], list[int]]]:
    """The linked (small latents, large latents), the largest cosine first."""
    small, large = near_SxL.shape
    row, column = np.nonzero(near_SxL)
    size = small + large
    links = csr_array((np.ones(len(row)), (row, small + column)), shape=(size, size))
    _, label_D = connected_components(links, directed=False)
    groups = [
        (np.flatnonzero(label_D[:small] == label), np.flatnonzero(label_D[small:] == label))
        for label in np.unique(label_D[row])
    ]
    groups.sort(key=lambda group: -np.max(cosine_SxL[np.ix_(*group)]))
    return [(removed.tolist(), added.tolist()) for removed, added in groups]


def _by(latents: NDArray[np.intp], rank: Floats) -> list[int]:
    return latents[np.argsort(rank[latents], kind="stable")].tolist()


def _share(holds: NDArray[np.bool_]) -> float:
    return float(holds.mean()) if len(holds) else 0.0
