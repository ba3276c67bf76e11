"""A trained dictionary, whichever library trained it, and what is measured of it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from vae_topk_jax.metrics.recovery import (
    Firings,
    mean_correlation,
    nearest_features,
    shrinkage,
    uniqueness,
)
from vae_topk_jax.metrics.variance import explained_variance
from vae_topk_jax.synthetic import GroundTruth, draw

_BATCH = 1024
_KEY = 2**31 - 1  # the seed of the samples that dictionaries are measured on


class Found(NamedTuple):
    """A trained dictionary.

    Attributes:
        decoder_DxF: its directions.
        encode: x_BxF -> codes_BxD at inference.
        decode: codes_BxD -> x_hat_BxF.
        samples_per_second: of its training, without compilation; drawing the samples included.
    """

    decoder_DxF: np.ndarray
    encode: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray], np.ndarray]
    samples_per_second: float


def measure(found: Found, truth: GroundTruth, samples: int) -> dict[str, float]:
    """All metrics of a dictionary, on samples that no training has seen.

    Args:
        found: the dictionary.
        truth: what it was trained on.
        samples: how many.
    """
    nearest_D = nearest_features(found.decoder_DxF, truth.directions_GxF)
    counted, vectors, again, true_active = [], [], [], 0
    for number in range(max(1, samples // _BATCH)):
        key = jax.random.fold_in(jax.random.key(_KEY), number)
        x_BxF, features_BxG = map(np.asarray, draw(truth, key, min(_BATCH, samples)))
        codes_BxD = found.encode(x_BxF)
        counted.append(Firings.count(codes_BxD, features_BxG, nearest_D))
        true_active += int(np.count_nonzero(features_BxG))
        vectors.append(x_BxF)
        again.append(found.decode(codes_BxD))
    firings = sum(counted[1:], start=counted[0])
    x_NxF, x_hat_NxF = np.concatenate(vectors), np.concatenate(again)
    return {
        **firings.detection._asdict(),
        "mcc": mean_correlation(found.decoder_DxF, truth.directions_GxF),
        "uniqueness": uniqueness(nearest_D),
        "explained_variance": explained_variance(x_NxF, x_hat_NxF),
        "shrinkage": shrinkage(x_NxF, x_hat_NxF),
        "active_latents": firings.active,
        "true_active": true_active / firings.examples,
        "dead_latents": firings.dead,
        "samples_per_second": found.samples_per_second,
    }
