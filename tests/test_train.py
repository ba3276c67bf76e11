"""The training command, as a user types it."""

import json

import numpy as np
import pytest

from experiments import train
from experiments.progress import read_scalars
from experiments.results import read_results
from tests.test_training import bits
from vae_topk_jax import load
from vae_topk_jax.checkpoint import restore_checkpoint
from vae_topk_jax.data.idx import read_idx, write_idx

FLAGS = ["--latent-dim", "8", "--k", "2", "--widths", "16", "--batch-size", "64", "--epochs", "3"]


@pytest.fixture
def data(blobs, tmp_path):
    folder = tmp_path / "spots"
    folder.mkdir()
    for stem, images, labels in (
        ("train", blobs.train_images, blobs.train_labels),
        ("t10k", blobs.test_images, blobs.test_labels),
    ):
        write_idx(folder / f"{stem}-images-idx3-ubyte", images[..., 0])
        write_idx(folder / f"{stem}-labels-idx1-ubyte", labels.astype(np.uint8))
    return folder


def run(data, out, *flags) -> None:
    train.main(["--data", str(data), "--out", str(out), *flags])


def test_a_run_leaves_checkpoints_scalars_and_a_model(data, tmp_path, capsys):
    run(data, tmp_path / "run", *FLAGS, "--selection", "dimension")
    scalars = read_scalars(tmp_path / "run" / "scalars.jsonl")
    assert [line["step"] for line in scalars] == [8, 16, 24]
    assert {"epoch", "loss", "reconstruction", "kl", "skipped"} <= scalars[0].keys()
    model = load(tmp_path / "run" / "checkpoints")
    assert (model.config.k, len(model.active_dims)) == (2, 2)
    assert model.info.data == {"source": 'IDX folder "spots"', "train": 512, "test": 128}
    (row,) = read_results(tmp_path / "run").rows
    assert row.metrics["active_dims"] == row.metrics["active_latents"] == 2
    assert row.metrics["psnr"] > 5
    assert "active_dims 2" in capsys.readouterr().out


def test_a_killed_run_resumes_to_the_same_bits(data, tmp_path, monkeypatch):
    run(data, tmp_path / "whole", *FLAGS)

    save, saved = train.save_checkpoint, []

    def save_twice_then_die(*args):
        if len(saved) == 2:
            raise KeyboardInterrupt
        saved.append(save(*args))

    with monkeypatch.context() as patch:
        patch.setattr(train, "save_checkpoint", save_twice_then_die)
        with pytest.raises(KeyboardInterrupt):
            run(data, tmp_path / "killed", *FLAGS)
    run(data, tmp_path / "killed", "--resume")

    whole, killed = (tmp_path / name for name in ("whole", "killed"))
    assert bits(restore_checkpoint(whole / "checkpoints")[0]) == bits(
        restore_checkpoint(killed / "checkpoints")[0]
    )
    assert read_scalars(whole / "scalars.jsonl") == read_scalars(killed / "scalars.jsonl")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--k", "9", *FLAGS[:2]], "k must be at most latent_dim, 8, got 9"),
        (["--k", "many"], "many"),
        (["--depth", "3"], "depth"),
        (["--epochs", "0"], "epochs must be at least 1, got 0"),
        (["--save-every", "0"], "save_every must be at least 1, got 0"),
        (["--batch-size", "4000"], "batch_size must be at most the 512 training images, got 4000"),
        (["--resume"], "no checkpoint in"),
    ],
)
def test_bad_flags_exit_with_2_and_a_reason(data, tmp_path, capsys, flags, message):
    with pytest.raises(SystemExit) as stopped:
        run(data, tmp_path / "run", *flags)
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    words = " ".join((printed.out + printed.err).replace("│", " ").split())
    assert message in words
    assert "Traceback" not in words
    assert not (tmp_path / "run").exists()


def test_a_folder_in_use_is_not_touched(data, tmp_path, capsys):
    run(data, tmp_path / "run", *FLAGS[:-1], "1")
    before = (tmp_path / "run" / "scalars.jsonl").read_text()
    with pytest.raises(SystemExit) as stopped:
        run(data, tmp_path / "run", *FLAGS)
    assert stopped.value.code == 2
    assert "holds a run already" in capsys.readouterr().err
    assert (tmp_path / "run" / "scalars.jsonl").read_text() == before
    assert json.loads(before)["step"] == 8


def test_a_run_resumes_wherever_the_same_data_come_from(data, tmp_path):
    run(data, tmp_path / "run", *FLAGS[:-1], "1")
    moved = data.rename(tmp_path / "moved")
    run(moved, tmp_path / "run", "--resume")


def test_resuming_on_other_data_is_refused(data, tmp_path, capsys):
    run(data, tmp_path / "run", *FLAGS[:-1], "1")
    images = read_idx(data / "train-images-idx3-ubyte")
    write_idx(data / "train-images-idx3-ubyte", images[::-1])
    with pytest.raises(SystemExit) as stopped:
        run(data, tmp_path / "run", "--resume")
    assert stopped.value.code == 2
    assert "--resume needs the same data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--k", "3"], "k was 2, got 3"),
        (["--learning-rate", "0.5"], "learning_rate was 0.002, got 0.5"),
    ],
)
def test_resuming_with_another_configuration_is_named(data, tmp_path, capsys, flags, message):
    run(data, tmp_path / "run", *FLAGS[:-1], "1")
    with pytest.raises(SystemExit) as stopped:
        run(data, tmp_path / "run", "--resume", *flags)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
