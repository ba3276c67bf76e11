"""What the latents of a model do on a set of inputs, in one pass of bounded memory."""

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vae_topk_jax.data import as_float
from vae_topk_jax.data.rows import Images
from vae_topk_jax.gallery.coactivation import CoActivation
from vae_topk_jax.gallery.histograms import Histograms
from vae_topk_jax.gallery.ranking import Ranking
from vae_topk_jax.inference_inputs import CHUNK

if TYPE_CHECKING:
    from vae_topk_jax.inference import Inference


# What the examples of a latent are chosen by, in the order of a page.
CHOICES = ("highest", "lowest", "random", "faintest")


class Examples(NamedTuple):
    """Some inputs of one latent.

    Attributes:
        index_N: their numbers.
        value_N: what they activate it with.
    """

    index_N: NDArray[np.int64]
    value_N: NDArray[np.float64]


@dataclasses.dataclass
class Activity:
    """Counts, extremes and examples of every latent over N inputs.

    A latent is active in an input where its entry of the code is not zero.

    Args:
        latents: D.
        inputs: N.
        labels: their labels, not negative; None: there are none.
        examples: how many examples of each kind are kept.

    Attributes:
        active_D: in how many inputs each latent is active.
        by_label_DxL: the same among the inputs of each label; None without labels.
        of_label_L: how many inputs have each label; None without.
        sum_D: of the values.
        lowest_D, highest_D: the smallest and the largest value, 0 among them.
        examples: for each of `CHOICES` the inputs of the largest, of the smallest negative and of
            random values, and those in which the latent only just is active.
        histograms: of the latents before the mask.
        together: which are active together.
    """

    latents: int
    inputs: int
    labels: NDArray[np.integer] | None = None
    kept: int = 8

    def __post_init__(self) -> None:
        self.active_D = np.zeros(self.latents, np.int64)
        self.sum_D = np.zeros(self.latents)
        self.lowest_D, self.highest_D = np.zeros(self.latents), np.zeros(self.latents)
        self.by_label_DxL, self.of_label_L = None, None
        if self.labels is not None:
            self.of_label_L = np.bincount(self.labels)
            self.by_label_DxL = np.zeros((self.latents, len(self.of_label_L)), np.int64)
        self._rankings = {choice: Ranking(self.latents, self.kept) for choice in CHOICES}
        self._order_N = np.random.default_rng(0).permutation(self.inputs)
        self.histograms, self.together = Histograms(self.latents), CoActivation(self.latents)

    def add(self, codes_NxD: NDArray, latents_NxD: NDArray, start: int) -> None:
        """Takes the codes of the inputs from number `start` on, and their latents before the mask.

        Examples:
            >>> activity = Activity(latents=2, inputs=3, labels=np.array([0, 1, 1]))
            >>> codes = np.array([[1.0, 0.0], [3.0, 0.0], [2.0, -1.0]])
            >>> activity.add(codes, codes, start=0)
            >>> activity.frequency_D.round(2).tolist(), activity.purity_D.round(2).tolist()
            ([1.0, 0.33], [0.67, 1.0])
            >>> activity.of("highest", 0).index_N.tolist()
            [1, 2, 0]
            >>> activity.of("lowest", 1).value_N.tolist()
            [-1.0]
        """
        active_NxD = codes_NxD != 0
        row_E, latent_E = np.nonzero(active_NxD)
        value_E = codes_NxD[row_E, latent_E].astype(np.float64)
        example_E = row_E + start
        self.active_D += active_NxD.sum(axis=0)
        self.sum_D += codes_NxD.sum(axis=0, dtype=np.float64)
        self.lowest_D = np.minimum(self.lowest_D, codes_NxD.min(axis=0))
        self.highest_D = np.maximum(self.highest_D, codes_NxD.max(axis=0))
        if self.labels is not None:
            assert self.by_label_DxL is not None
            labels, size = self.by_label_DxL.shape[1], self.by_label_DxL.size
            flat_E = latent_E * labels + self.labels[example_E]
            self.by_label_DxL += np.bincount(flat_E, minlength=size).reshape(-1, labels)
        above, below = value_E > 0, value_E < 0
        for choice, chosen, key_E in (
            ("highest", above, value_E),
            ("lowest", below, -value_E),
            ("random", slice(None), -self._order_N[example_E]),
            ("faintest", slice(None), -np.abs(value_E)),
        ):
            parts = (part[chosen] for part in (latent_E, example_E, key_E, value_E))
            self._rankings[choice].add(*parts)
        row_E, latent_E = np.nonzero(latents_NxD)
        self.histograms.add(latent_E, latents_NxD[row_E, latent_E])
        self.together.add(active_NxD)

    def of(self, choice: str, latent: int) -> Examples:
        """Examples of one latent; `choice` is one of `CHOICES`."""
        return Examples(*self._rankings[choice].of(latent))

    @property
    def frequency_D(self) -> NDArray[np.float64]:
        """In which fraction of the inputs each latent is active."""
        return self.active_D / self.inputs

    @property
    def mean_D(self) -> NDArray[np.float64]:
        """The mean value where the latent is active; 0 where it never is."""
        return self.sum_D / np.maximum(self.active_D, 1)

    @property
    def purity_D(self) -> NDArray[np.float64]:
        """Of the inputs that activate a latent, the fraction with their most frequent label; 0
        where there are none.

        Raises:
            ValueError: there are no labels.
        """
        if self.by_label_DxL is None:
            raise ValueError("purity needs labels, got none")
        return self.by_label_DxL.max(axis=1) / np.maximum(self.active_D, 1)


def observe(
    model: "Inference",
    images: Images,
    labels: NDArray[np.integer] | None = None,
    *,
    examples: int = 8,
    chunk: int = CHUNK,
) -> Activity:
    """The activity of a model's latents on inputs.

    Args:
        model: the model.
        images: (N, H, W, C), uint8 or floating; memory for `chunk` of them is needed at a time.
        labels: (N,), not negative.
        examples: how many of each kind are kept.
        chunk: inputs at a time; the outcome is the same but for the rounding of sums.

    Raises:
        ValueError: as `Inference.encode`, or labels that are not N integers of 0 or above.
    """
    if labels is not None:
        labels = np.atleast_1d(labels)
        if labels.shape != (len(images),) or labels.dtype.kind not in "iu" or np.min(labels) < 0:
            raise ValueError(
                f"labels must be {len(images)} integers, not negative, got {labels.dtype} "
                f"of shape {labels.shape}"
            )
    activity = Activity(model.config.latent_dim, len(images), labels, examples)
    for start in range(0, len(images), chunk):
        x = as_float(images[start : start + chunk])
        codes_NxD = np.asarray(model.encode(x))
        if not np.isfinite(codes_NxD).all():
            raise ValueError(f"codes must be finite, got others from input {start} on")
        activity.add(codes_NxD, np.asarray(model.latents(x, all_dims=True)), start)
    return activity
