"""The training command on data of one's own: its flags, what it says, how it goes on."""

import numpy as np
import pytest
from PIL import Image

from experiments import train
from experiments.records.rows import read_results
from tests.helpers import doors
from tests.helpers.runs import FLAGS, SIZES, bits
from vae_topk_jax import fit
from vae_topk_jax.checkpoint import restore_checkpoint
from vae_topk_jax.data import DataOptions, Rows, load_dataset, memory
from vae_topk_jax.files import CACHE_VARIABLE
from vae_topk_jax.runs.run_folder import read_names

SHORT = [*FLAGS[:-1], "1", "--batch-size", "16"]
SAE = ["--model", "batch_topk_sae", *SIZES[:-1], "1", "--batch-size", "16"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def pictures(tmp_path):
    """Forty pictures of two sizes, one of them broken."""
    folder = tmp_path / "faces"
    folder.mkdir()
    for number, image in enumerate(doors.grey()):
        Image.fromarray(image[: 6 + number % 2 * 2, :, 0]).save(folder / f"{number}.png")
    (folder / "7.png").write_bytes((folder / "8.png").read_bytes()[:50])
    return folder


def run(path, out, *flags) -> None:
    train.main(["--data", str(path), "--out", str(out), *flags])


def error_of(capsys, path, out, *flags) -> str:
    with pytest.raises(SystemExit) as stopped:
        run(path, out, *flags)
    assert stopped.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.long
def test_pictures_train_and_go_on_with_the_options_that_were_saved(pictures, tmp_path, capsys):
    out = tmp_path / "run"
    assert "(--image-size 64)" in error_of(capsys, pictures, out, *SHORT)
    said = error_of(capsys, pictures, out, *SHORT, "--image-size", "8")
    assert "7.png: cannot be read as a picture" in said
    flags = ["--image-size", "8", "--skip-broken", "--limit", "30", "--test-fraction", "0.2"]
    run(pictures, out, *SHORT, *flags)
    saved = {"image_size": 8, "skip_broken": True, "test_fraction": 0.2, "limit": 30}
    assert read_names(out) == {"data": str(pictures), "inputs": "pixels"} | saved
    (row,) = read_results(out).rows
    assert row.data["train"] == 30
    assert row.data["test"] == 8
    train.main(["--out", str(out), "--resume"])
    refused = ["--resume", "--limit", "20"]
    with pytest.raises(SystemExit):
        train.main(["--out", str(out), *refused])
    assert "resume needs the same data" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        train.main(["--out", str(out), "--resume", "--tensor", "x"])
    assert "tensor changes nothing of a folder of pictures" in capsys.readouterr().err


@pytest.mark.long
def test_more_than_the_memory_is_streamed_and_said(tmp_path, capsys, monkeypatch):
    made = doors.npy_folder(tmp_path)
    run(made.path, tmp_path / "whole", *SHORT)
    monkeypatch.setattr(memory, "total_bytes", lambda: 0)
    run(made.path, tmp_path / "streamed", *SHORT)
    said = " ".join(capsys.readouterr().out.split())  # without the breaks of the console
    assert "training examples stay in their files and are read batch by batch" in said
    states = [restore_checkpoint(tmp_path / run).state for run in ("whole", "streamed")]
    assert bits(states[0]) == bits(states[1])
    metrics = [read_results(tmp_path / run).rows[0].metrics for run in ("whole", "streamed")]
    assert metrics[0] == metrics[1]


def test_activations_are_for_a_dictionary(tmp_path, capsys):
    made = doors.tensors(tmp_path)
    tensor = ["--tensor", made.options.tensor]
    assert "must name one of blocks.0" in error_of(capsys, made.path, tmp_path / "run", *SAE)
    run(made.path, tmp_path / "run", *SAE, *tensor)
    (row,) = read_results(tmp_path / "run").rows
    assert "explained_variance" in row.metrics
    assert row.data["source"].startswith('safetensors "activations", tensor blocks.0.hook_mlp_out')


def test_what_needs_labels_says_so(tmp_path, capsys):
    made = doors.npy(tmp_path)
    said = error_of(capsys, made.path, tmp_path / "run", *SAE, "--inputs", "probe")
    assert "there are no labels, which are needed" in said


def test_options_of_a_run_that_are_damaged_are_named(tmp_path, capsys):
    made = doors.npy(tmp_path)
    run(made.path, tmp_path / "run", *SHORT, "--limit", "20")
    (tmp_path / "run" / "inputs.json").write_text('{"data": "x", "limit": "many"}')
    said = error_of(capsys, made.path, tmp_path / "run", "--resume")
    assert "inputs.json: limit must be of type int, got 'many'" in said


@pytest.mark.long
def test_fit_takes_a_path_a_dataset_and_rows(tmp_path, monkeypatch):
    made = doors.npy(tmp_path)
    config = train.Config("vae", latent_dim=4, widths=(8,), batch_size=16, epochs=1)
    data = load_dataset(made.path, DataOptions())
    states = [bits(fit(given, config, progress=False).state) for given in (made.path, data)]
    monkeypatch.setattr(memory, "total_bytes", lambda: 0)
    rows = load_dataset(made.path).train_images
    assert isinstance(rows, Rows)
    states.append(bits(fit(rows, config, progress=False).state))
    states.append(bits(fit(np.asarray(data.train_images), config, progress=False).state))
    assert states.count(states[0]) == 4
    with pytest.raises(ValueError, match="source is for arrays"):
        fit(data, config, source="mine")
