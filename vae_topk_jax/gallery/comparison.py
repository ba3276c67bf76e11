"""Two models side by side: which latents are the same, which are new, which are lost."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from vae_topk_jax.metrics.recovery import cosines
from vae_topk_jax.metrics.stitching import cosines as signed_cosines
from vae_topk_jax.metrics.stitching import stitching_path

SAME = 0.7  # the smallest |cosine| of two latents that are versions of one another


class Match(NamedTuple):
    """The best one-to-one matching of two sets of latents.

    Attributes:
        ours_P, theirs_P: the latents of each pair.
        cosine_P: |cosine| of their directions.
        best_ours_M, best_theirs_N: of every latent the largest |cosine| with any of the others.
    """

    ours_P: NDArray[np.intp]
    theirs_P: NDArray[np.intp]
    cosine_P: NDArray[np.float64]
    best_ours_M: NDArray[np.float64]
    best_theirs_N: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """MCC, as `metrics.recovery.mean_correlation` has it."""
        return float(self.cosine_P.mean())


def match(ours_MxF: NDArray, theirs_NxF: NDArray) -> Match:
    """Pairs of the largest sum of |cosine|, found by the Hungarian algorithm.

    Examples:
        >>> found = match(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[0.1, -1.0]]))
        >>> found.ours_P.tolist(), found.theirs_P.tolist(), found.best_ours_M.round(2).tolist()
        ([1], [0], [0.1, 1.0])

    References:
        Paulo & Belrose, "Sparse Autoencoders Trained on the Same Data Learn Different Features",
        arXiv 2501.16615.
    """
    cosine_MxN = cosines(ours_MxF, theirs_NxF)
    ours_P, theirs_P = linear_sum_assignment(cosine_MxN, maximize=True)
    return Match(
        ours_P, theirs_P, cosine_MxN[ours_P, theirs_P], cosine_MxN.max(1), cosine_MxN.max(0)
    )


class Stitch(NamedTuple):
    """What stitching makes of one latent: the latents that come in with it, and those that go.

    Attributes:
        kind: "insert", a novel one, or "swap".
        added, removed: latents of this and of the other dictionary.
    """

    kind: str
    added: list[int]
    removed: list[int]


def stitches(theirs_NxF: NDArray, ours_MxF: NDArray) -> dict[int, Stitch]:
    """What each of our latents is on the way from their dictionary to ours.

    Examples:
        >>> found = stitches(np.array([[1.0, 0.0]]), np.array([[2.0, 0.1], [0.0, 1.0]]))
        >>> found[0], found[1].kind
        (Stitch(kind='swap', added=[0], removed=[0]), 'insert')

    References:
        Leask et al., "Sparse Autoencoders Do Not Find Canonical Units of Analysis", ICLR 2025.
    """
    path = stitching_path(signed_cosines(theirs_NxF, ours_MxF), SAME)
    return {
        latent: Stitch(step.kind, list(step.added), list(step.removed))
        for step in path
        for latent in step.added
    }
