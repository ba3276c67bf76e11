"""Priors are fitted to a run and kept beside its checkpoints."""

import jax
import numpy as np
import pytest

from experiments import fit_prior
from experiments.terminal import cli
from tests.helpers.runs import untrained
from vae_topk_jax import export_model, load
from vae_topk_jax.checkpoint import save_checkpoint


@pytest.fixture
def run(blobs, data, tmp_path):
    model = untrained(blobs, selection="element")
    info = model.info.__class__(model.config, blobs.image_shape, blobs.describe(), digest(data))
    save_checkpoint(tmp_path / "run" / "checkpoints", model.state, info)
    return tmp_path / "run"


def digest(data) -> str:
    from vae_topk_jax.data import load_dataset

    return load_dataset(data).digest


@pytest.mark.long
def test_fitted_priors_are_those_of_the_run(run, data):
    cli.run(fit_prior.main, [str(run), "--prior", "patterns", "--data", str(data)])
    cli.run(fit_prior.main, [str(run), "--steps", "1", "--data", str(data)])
    model = load(run)
    assert {*model.priors.fitted} == {"patterns", "flow"}
    own = model.sample_codes(jax.random.key(0), 3, prior="frequency")
    assert not np.array_equal(model.sample_codes(jax.random.key(0), 3), own)


def test_bad_input_is_refused_in_one_line(run, data, tmp_path, capsys):
    exported = export_model(load(run), tmp_path / "exported")
    other = tmp_path / "other"
    other.mkdir()
    np.save(other / "train.npy", np.zeros((20, 12, 12), np.uint8))
    for flags, message in (
        ([run, "--prior", "flo"], "prior must be one of"),
        ([run, "--prior", "patterns", "--steps", "3"], "patterns has no setting 'steps'"),
        ([run, "--seed", "-1"], "seed must be at least 0, got -1"),
        ([exported, "--data", data], "run must be the folder of a run"),
        ([run, "--data", other], "data must be those that"),
    ):
        with pytest.raises(SystemExit) as stop:
            cli.run(fit_prior.main, [str(flag) for flag in flags])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err
