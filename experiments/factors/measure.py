"""What is measured of a model whose inputs have known factors."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.measures.traversals import traversals
from experiments.study.keys import study_key
from experiments.study.planned import Measurement
from experiments.study.study import PICTURES
from vae_topk_jax.data import Dataset, to_unit_float
from vae_topk_jax.metrics import disentanglement as scores
from vae_topk_jax.metrics import reconstruction_metrics
from vae_topk_jax.metrics.sparsity import active_latents, active_units

CATEGORICAL = ("shape", "colour")  # whose values have no order


class Known(NamedTuple):
    """Test images, and the factors of them that vary.

    Attributes:
        images: floating, in [0, 1].
        factors_NxF: numbers of their values.
        names: of the factors.
    """

    images: np.ndarray
    factors_NxF: NDArray[np.int32]
    names: tuple[str, ...]

    @classmethod
    def of(cls, dataset: Dataset) -> "Known":
        """The test split.

        Raises:
            ValueError: its factors are not known, or fewer than two of them vary.
        """
        if dataset.factors is None or dataset.test_factors is None:
            raise ValueError(f"data must have known factors, got {dataset.source}")
        vary = [f for f, column in enumerate(dataset.test_factors.T) if np.ptp(column)]
        if len(vary) < 2:
            raise ValueError(f"data must have two factors that vary, got {dataset.source}")
        names = tuple(dataset.factors.names[factor] for factor in vary)
        return cls(to_unit_float(dataset.test_images), dataset.test_factors[:, vary], names)


def measure(known: Known, model: Any, points: int, seed: int) -> Measurement:
    """Reconstruction, and all measures of disentanglement of its codes.

    Args:
        known: what is encoded.
        model: with the interface of `Inference`.
        points: of the scores of FactorVAE and BetaVAE; half as many more to test on.
        seed: decides what the measures draw.
    """
    codes_NxD = np.asarray(model.encode(known.images))
    reconstructed = np.asarray(model.decode(codes_NxD))
    measurement = measure_codes(known, codes_NxD, points, seed)
    spread = np.linspace(0, len(codes_NxD) - 1, PICTURES).astype(int)  # neighbours look alike
    pictures = {
        "originals": known.images[spread],
        "reconstructions": reconstructed[spread],
        "traversals": traversals(model.decode, codes_NxD),
    }
    metrics = reconstruction_metrics(reconstructed, known.images) | dict(measurement.metrics)
    return measurement._replace(metrics=metrics, pictures=pictures)


def measure_codes(known: Known, codes_NxD: np.ndarray, points: int, seed: int) -> Measurement:
    """All measures of disentanglement; the history has the matrices behind them."""
    factors_NxF = known.factors_NxF
    information = scores.mutual_information(codes_NxD, factors_NxF)
    importance = scores.dci(codes_NxD, factors_NxF, study_key(seed, "DCI"))
    draws = {"points": points, "test_points": max(1, points // 2)}
    metrics = {
        "mig": scores.mig(codes_NxD, factors_NxF),
        "dci_disentanglement": importance.disentanglement,
        "dci_completeness": importance.completeness,
        "dci_informativeness": importance.informativeness,
        "sap": scores.sap(
            codes_NxD,
            factors_NxF,
            categorical=[f for f, name in enumerate(known.names) if name in CATEGORICAL],
        ),
        "modularity": scores.modularity(codes_NxD, factors_NxF),
        "explicitness": scores.explicitness(codes_NxD, factors_NxF, study_key(seed, "AUC")),
        "factor_vae_score": scores.factor_vae_score(
            codes_NxD, factors_NxF, study_key(seed, "FactorVAE score"), **draws
        ),
        "beta_vae_score": scores.beta_vae_score(
            codes_NxD, factors_NxF, study_key(seed, "BetaVAE score"), **draws
        ),
        "active_latents": active_latents(codes_NxD),
        "active_units": active_units(codes_NxD),
    }
    shares_DxF = information.mutual_DxF / information.entropy_F
    matrices = {
        "factors": list(known.names),
        "information_DxF": shares_DxF.round(4).tolist(),
        "importance_DxF": importance.importance_DxF.round(4).tolist(),
    }
    return Measurement(metrics, history=matrices)
