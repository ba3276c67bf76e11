"""The rows of the study, seed by seed."""

import functools
from collections.abc import Iterator

import numpy as np

from experiments.factors.layout import EXPERIMENT
from experiments.factors.lineup import UNTRAINED, models
from experiments.factors.measure import Known, measure, measure_codes
from experiments.factors.presets import Preset
from experiments.records.rows import Place
from experiments.study.lineup import pca_title
from experiments.study.pca import PCA
from experiments.study.planned import Measurement, Planned
from experiments.study.study import Study, Trained
from vae_topk_jax.inference import Inference
from vae_topk_jax.run_info import RunInfo


def rows(study: Study, preset: Preset, variant: str, only: str = "") -> Iterator[Planned]:
    """Those whose title contains `only`, all models of a seed before those of the next.

    Args:
        study: data, budget and the rows so far.
        preset: sizes.
        variant: what the sprites are.
        only: part of a title.
    """
    known = Known.of(study.dataset)
    settings = {"points": preset.points, "test_fraction": preset.test_fraction}
    references = [(pca_title(preset.k), _pca), (UNTRAINED, _untrained)]
    for seed in preset.seeds:
        for title, fields in models(preset).items():
            if only in title:
                config = study.config(preset.shared, **fields, seed=seed)

                def measure_trained(trained: Trained, seed: int = seed) -> Measurement:
                    return measure(known, trained.inference, preset.points, seed)

                yield study.plan_trained(
                    EXPERIMENT, variant, title, config, measure_trained, **settings
                )
        for title, reference in references:
            if only in title:
                run = functools.partial(reference, study, preset, known, seed)
                described = settings | {"seed": seed, "k": preset.k, "of": "reference"}
                yield study.plan(Place(EXPERIMENT, variant, title, seed), described, run)


def _pca(study: Study, preset: Preset, known: Known, seed: int) -> Measurement:
    return measure(known, PCA(study.train_images, preset.k), preset.points, seed)


def _untrained(study: Study, preset: Preset, known: Known, seed: int) -> Measurement:
    """The means of an encoder with random weights; there is nothing to reconstruct."""
    config = study.config(preset.shared, model="beta_vae", seed=seed)
    info = RunInfo(config, study.dataset.image_shape, study.dataset.describe())
    inference = Inference(info.trainer.init(study.dataset.train_images), info)
    codes_NxD = np.asarray(inference.encode(known.images))
    return measure_codes(known, codes_NxD, preset.points, seed)._replace(history=None)
