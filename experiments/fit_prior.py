"""Fits priors to the codes of a run's training images, for `generate` to draw from.

    python -m experiments.fit_prior runs/model
    python -m experiments.fit_prior runs/model --prior patterns mixture

They are kept beside the checkpoints, in runs/model/priors, and go with every export. The one whose
images are nearest to reconstructions is that of `generate(key, n)`; docs/generative.md says which
is how good.
"""

import time
from pathlib import Path

import jax
import tyro

from experiments.study.shown_inputs import find_inputs, run_folder
from experiments.terminal import cli
from vae_topk_jax.data import DataOptions, as_float
from vae_topk_jax.fitted_priors import FOLDER, save_priors
from vae_topk_jax.inference import load
from vae_topk_jax.priors.registry import check_settings, name_of
from vae_topk_jax.runs.progress import console
from vae_topk_jax.runs.run_folder import sole_writer
from vae_topk_jax.training_inputs import labels_of

_AS_GIVEN = DataOptions()


def main(
    run: tyro.conf.Positional[Path],
    prior: tuple[str, ...] = (),
    steps: int | None = None,
    seed: int = 0,
    data: str | None = None,
    reading: DataOptions = _AS_GIVEN,
) -> None:
    """Fits priors to the codes of a run's training images, with classes to those of each, and keeps
    them beside its checkpoints.

    Args:
        run: its folder.
        prior: names, of patterns, mixture, vamp, two_stage, flow and autoregressive; if not given,
            autoregressive by slot and flow elsewhere.
        steps: of training, for two_stage, flow and autoregressive; the prior's own if not given.
        seed: of whatever is drawn in fitting.
        data: the run's data, where they are in another place now.
        reading: how they are read.
    """
    settings = {} if steps is None else {"steps": steps}
    for name in prior:
        check_settings(name, settings)
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    model, folder = load(run), run_folder(run)
    if folder is None:
        raise ValueError(f"run must be the folder of a run, got the model files {run}")
    inputs = find_inputs(run, "train", data, reading)
    if inputs.digest != model.info.data_digest:
        raise ValueError(f"data must be those that {run} was trained on, got {inputs.source}")
    images = as_float(inputs.images[:])
    label = inputs.labels if labels_of(model.config) else None
    with sole_writer(folder):
        for asked in prior or (None,):
            started = time.perf_counter()
            key = jax.random.key(seed)
            name = name_of(model.fit_prior(images, asked, label=label, key=key, **settings))
            save_priors(model.priors, folder, model.variables)
            seconds, distance = time.perf_counter() - started, model.priors.fitted[name].distance
            place = folder / FOLDER / name
            console.print(f"{name}: distance {distance:.4g}, {seconds:.0f} s, {place}")


if __name__ == "__main__":
    cli.run(main)
