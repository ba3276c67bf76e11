"""How well a dictionary finds features that are known. NumPy, float64.

A latent is judged by the feature whose direction lies nearest to its own, whichever sign that has.

References: Chanin & Garriga-Alonso, "SynthSAEBench", arXiv 2602.14687, whose evaluation in
`sae_lens.synthetic` gives the same figures.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

LEAST_LENGTH = 1e-6  # of an input, below which no share of it is taken


def cosines(a_DxF: ArrayLike, b_GxF: ArrayLike) -> NDArray[np.float64]:
    """|cosine|_DxG between the rows of two sets; 0 for a row of zeros.

    Raises:
        ValueError: sets that are not matrices of one width, or are not finite.

    Examples:
        >>> cosines([[0.0, -2.0]], [[1.0, 0.0], [0.0, 1.0]]).tolist()
        [[0.0, 1.0]]
    """
    a_DxF, b_GxF = (_rows(name, rows) for name, rows in (("a", a_DxF), ("b", b_GxF)))
    if a_DxF.shape[1] != b_GxF.shape[1]:
        raise ValueError(f"b must have rows of {a_DxF.shape[1]} values, got {b_GxF.shape[1]}")
    return np.abs(a_DxF @ b_GxF.T)


def mean_correlation(a_DxF: ArrayLike, b_GxF: ArrayLike) -> float:
    """MCC, the mean |cosine| of the best one-to-one matching of two sets of directions.

    Of a dictionary and the features: how many it has found. Of the dictionaries of two seeds: how
    stable they are. The larger set's directions that are left over do not count.

    Examples:
        >>> mean_correlation([[1.0, 0.0], [0.0, 3.0]], [[0.0, -1.0], [1.0, 0.0]])
        1.0
        >>> mean_correlation([[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]])
        0.5

    References:
        Song et al., "Position: Mechanistic Interpretability Should Prioritize Feature Consistency
        in SAEs", arXiv 2505.20254.
    """
    cosine_DxG = cosines(a_DxF, b_GxF)
    return float(cosine_DxG[linear_sum_assignment(cosine_DxG, maximize=True)].mean())


def nearest_features(decoder_DxF: ArrayLike, features_GxF: ArrayLike) -> NDArray[np.intp]:
    """index_D of the feature nearest to each latent.

    Examples:
        >>> nearest_features([[0.0, 2.0], [1.0, 0.1]], [[1.0, 0.0], [0.0, 1.0]]).tolist()
        [1, 0]
    """
    return cosines(decoder_DxF, features_GxF).argmax(axis=1)


def uniqueness(nearest_D: ArrayLike) -> float:
    """The number of different features that are nearest to some latent, over that of latents.

    Args:
        nearest_D: of `nearest_features`.

    Examples:
        >>> uniqueness([3, 1, 3, 0])
        0.75
    """
    nearest_D = np.asarray(nearest_D)
    return len(np.unique(nearest_D)) / len(nearest_D)


class Detection(NamedTuple):
    """How well latents tell whether their features fire, each a mean over the latents.

    Attributes:
        precision: TP / (TP + FP); 0 for a latent that never fires.
        recall: TP / (TP + FN); 0 for one whose feature never fires.
        f1: their harmonic mean, latent by latent.
        accuracy: (TP + TN) / N.
    """

    precision: float
    recall: float
    f1: float
    accuracy: float


@dataclasses.dataclass(frozen=True)
class Firings:
    """How often latents and their features fire, counted over examples; sums add up.

    Attributes:
        both_D: examples in which a latent and its feature fire.
        latent_D, feature_D: in which the one does, whatever the other.
        examples: N.

    Examples:
        >>> codes, features = np.array([[1.0], [2.0], [0.0]]), np.array([[0.5], [0.0], [0.0]])
        >>> firings = Firings.count(codes, features, [0])
        >>> (firings + firings).detection.precision, firings.active
        (0.5, 0.6666666666666666)
    """

    both_D: NDArray[np.int64]
    latent_D: NDArray[np.int64]
    feature_D: NDArray[np.int64]
    examples: int

    @classmethod
    def count(
        cls, codes_NxD: ArrayLike, features_NxG: ArrayLike, nearest_D: ArrayLike
    ) -> "Firings":
        """The counts of some examples.

        Args:
            codes_NxD: a latent fires where its entry is not 0.
            features_NxG: a feature fires where its entry is above 0.
            nearest_D: the feature of each latent.

        Raises:
            ValueError: codes, features and indices that do not fit to each other.
        """
        fires_NxD, truth_NxG = np.asarray(codes_NxD) != 0, np.asarray(features_NxG) > 0
        nearest_D = np.asarray(nearest_D)
        if len(fires_NxD) != len(truth_NxG):
            raise ValueError(f"features must have {len(fires_NxD)} rows, got {len(truth_NxG)}")
        if nearest_D.shape != fires_NxD.shape[1:]:
            raise ValueError(
                f"nearest must have shape {fires_NxD.shape[1:]}, got {nearest_D.shape}"
            )
        truth_NxD = truth_NxG[:, nearest_D]
        both_D, latent_D, feature_D = (
            fires.sum(axis=0, dtype=np.int64)
            for fires in (fires_NxD & truth_NxD, fires_NxD, truth_NxD)
        )
        return cls(both_D, latent_D, feature_D, len(fires_NxD))

    def __add__(self, other: "Firings") -> "Firings":
        return Firings(
            self.both_D + other.both_D,
            self.latent_D + other.latent_D,
            self.feature_D + other.feature_D,
            self.examples + other.examples,
        )

    @property
    def detection(self) -> Detection:
        """Precision, recall, F1 and accuracy."""
        precision_D, recall_D = (
            self.both_D / np.maximum(count_D, 1) for count_D in (self.latent_D, self.feature_D)
        )
        f1_D = 2 * self.both_D / np.maximum(self.latent_D + self.feature_D, 1)
        wrong_D = self.latent_D + self.feature_D - 2 * self.both_D
        means = (precision_D, recall_D, f1_D, 1 - wrong_D / self.examples)
        return Detection(*(float(mean_D.mean()) for mean_D in means))

    @property
    def active(self) -> float:
        """L0, the mean number of latents that fire in an example."""
        return float(self.latent_D.sum() / self.examples)

    @property
    def dead(self) -> int:
        """How many latents never fire."""
        return int(np.sum(self.latent_D == 0))


def shrinkage(x_NxF: ArrayLike, x_hat_NxF: ArrayLike) -> float:
    """The mean of |x_hat| / |x| over examples, without those of length below 1e-6; 1: none.

    Raises:
        ValueError: shapes that differ, or no example that has a length.

    Examples:
        >>> shrinkage([[0.0, 2.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]])
        0.5
    """
    x_NxF, x_hat_NxF = np.asarray(x_NxF, np.float64), np.asarray(x_hat_NxF, np.float64)
    if x_NxF.shape != x_hat_NxF.shape or x_NxF.ndim != 2:
        raise ValueError(f"x_hat must have the shape of x, {x_NxF.shape}, got {x_hat_NxF.shape}")
    length_N = np.linalg.norm(x_NxF, axis=1)
    counts_N = length_N > LEAST_LENGTH
    if not counts_N.any():
        raise ValueError(f"x must have an example longer than {LEAST_LENGTH}, got none")
    return float((np.linalg.norm(x_hat_NxF, axis=1)[counts_N] / length_N[counts_N]).mean())


def _rows(name: str, rows: ArrayLike) -> NDArray[np.float64]:
    """Over their lengths."""
    matrix = np.asarray(rows, np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"{name} must be a matrix with a row or more, got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ValueError(f"{name} must be finite, got NaN or infinite values")
    return matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-30)
