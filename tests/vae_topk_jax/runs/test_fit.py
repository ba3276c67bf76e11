"""One call from an array to a trained model: what it takes, what it leaves, how it goes on."""

import signal
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.helpers.runs import SMALL, bits
from vae_topk_jax import fit, load
from vae_topk_jax.checkpoint import CheckpointError, CheckpointWriter, restore_checkpoint
from vae_topk_jax.checkpoint_folder import checkpoints
from vae_topk_jax.data import to_unit_float
from vae_topk_jax.runs import run_folder
from vae_topk_jax.runs.importance_log import read_importance
from vae_topk_jax.runs.interruption import Interrupted
from vae_topk_jax.runs.run_folder import read_run
from vae_topk_jax.runs.scalars import JsonLines, read_scalars
from vae_topk_jax.sharding import make_mesh
from vae_topk_jax.training import NonFiniteError, Trainer

SHORT = SMALL.replace(epochs=1)
SAE = SHORT.replace(model="batch_topk_sae")


@pytest.fixture(scope="module")
def finished(blobs, tmp_path_factory) -> Path:
    """The folder of a run that ended."""
    out = tmp_path_factory.mktemp("finished") / "run"
    fit(blobs.train_images, SMALL, out=out, progress=False)
    return out


def assert_same_runs(one, other) -> None:
    assert len({tuple(bits(restore_checkpoint(out).state)) for out in (one, other)}) == 1
    assert read_scalars(one / "scalars.jsonl") == read_scalars(other / "scalars.jsonl")
    assert read_importance(one) == read_importance(other)


def test_a_run_leaves_checkpoints_scalars_and_importances(finished, blobs):
    run = read_run(finished)
    assert [line["step"] for line in run.scalars] == [8, 16, 24]
    assert {"epoch", "loss", "reconstruction", "kl", "skipped"} <= run.scalars[0].keys()
    assert (run.step, run.info.config) == (24, SMALL)
    assert run.info.data == {"source": "an array", "train": len(blobs.train_images), "test": 0}
    importances = read_importance(finished)["values"]
    assert np.shape(importances) == (24, SMALL.latent_dim)


def test_a_model_is_loaded_from_the_run_its_checkpoints_or_one_of_them(finished, blobs):
    x = to_unit_float(blobs.test_images[:16])
    newest = finished / "checkpoints" / "00000024"
    codes = [load(path).encode(x) for path in (finished, finished / "checkpoints", newest)]
    np.testing.assert_array_equal(codes[0], codes[1])
    np.testing.assert_array_equal(codes[0], codes[2])


def test_without_a_folder_the_model_is_the_same_and_nothing_is_written(
    finished, blobs, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    model = fit(blobs.train_images, SMALL, progress=False)
    assert bits(model.state) == bits(restore_checkpoint(finished).state)
    assert not [*tmp_path.iterdir()]


def test_a_path_that_is_not_utf8_is_refused_before_anything_is_done(blobs, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "init", lambda *given: pytest.fail("begun"))
    with pytest.raises(ValueError, match=r"out must be a path in UTF-8 .*, got '.*\\udcff'"):
        fit(blobs.train_images, SHORT, out=tmp_path / "\udcff")
    assert not [*tmp_path.iterdir()]


@pytest.mark.long
def test_images_may_lack_the_channel_and_be_floating(blobs):
    images = blobs.train_images
    model = fit(images, SHORT, progress=False)
    assert bits(fit(images[..., 0], SHORT, progress=False).state) == bits(model.state)
    halves = fit(images[..., 0] / 255, SHORT, progress=False)
    np.testing.assert_allclose(
        halves.state.params["encoder"]["Dense_0"]["kernel"],
        model.state.params["encoder"]["Dense_0"]["kernel"],
        atol=1e-5,
    )


@pytest.mark.long
def test_vectors_of_any_range_are_for_a_system_that_takes_them(blobs):
    vectors = np.random.default_rng(0).normal(0, 9, (512, 6)).astype(np.float32)
    assert fit(vectors, SAE, progress=False).info.image_shape == (1, 1, 6)
    with pytest.raises(ValueError, match=r"images must lie in \[0, 1\], .*likelihoods of any val"):
        fit(vectors, SHORT)


@pytest.mark.long
def test_the_devices_of_a_mesh_give_what_one_gives(finished, blobs):
    model = fit(blobs.train_images, SMALL, mesh=make_mesh(), progress=False)
    alone = load(finished)
    x = to_unit_float(blobs.test_images)
    np.testing.assert_allclose(model.encode(x), alone.encode(x), atol=1e-4)


@pytest.mark.long
def test_held_out_images_are_measured_after_each_epoch(blobs, tmp_path):
    test, config = blobs.test_images[:100], SMALL.replace(epochs=2)
    model = fit(blobs.train_images, config, test=test, out=tmp_path, segment=5, progress=False)
    lines = read_scalars(tmp_path / "scalars.jsonl")
    assert ["test_loss" in line for line in lines] == [False, True, False, True]
    x = to_unit_float(test)
    error = np.mean(np.square(x - model.reconstruct(x)))
    np.testing.assert_allclose(lines[-1]["test_reconstruction"], error, rtol=1e-4)
    assert model.info.data["test"] == 100


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x.astype(np.float32), r"images must lie in \[0, 1\], got 0 to 25"),
        (lambda x: np.full(x.shape, np.nan), r"images must lie in \[0, 1\], got nan"),
        (lambda x: x.astype(int), "images must be uint8 or floating, got int64"),
        (lambda x: x[0, 0, :, 0], r"images must have shape \(N, H, W\), .*got \(12,\)"),
        (lambda x: x[:0], r"images must have shape .*got \(0, 12, 12, 1\)"),
        (lambda x: x[:9], "batch_size must be at most the 9 training images"),
    ],
)
def test_what_a_model_cannot_be_trained_on_is_named(blobs, tmp_path, spoil, message):
    with pytest.raises(ValueError, match=message):
        fit(spoil(blobs.train_images), SMALL, progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"save_every": 0}, "save_every must be at least 1, got 0"),
        ({"segment": 0}, "segment must be at least 1, got 0"),
        ({"keep": 0}, "keep must be at least 1, got 0"),
        ({"patience": 0}, "patience must be at least 1, got 0"),
        ({"resume": True, "out": None}, "out must be given with resume or wandb"),
        ({"wandb": "digits", "out": None}, "out must be given with resume or wandb"),
        ({"resume": True}, "no checkpoint in .*run"),
        ({"test": np.full((3, 12, 12), 255.0)}, r"images must lie in \[0, 1\], got 255 to 255"),
        ({"test": np.zeros((3, 5, 5), np.uint8)}, r"test must have the shape .*, \(M, 12, 12, 1\)"),
    ],
)
def test_bad_options_are_named_and_nothing_is_written(blobs, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        fit(blobs.train_images, SMALL, **{"out": tmp_path / "run"} | options)
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_a_run_killed_within_an_epoch_resumes_to_the_same_bits(blobs, tmp_path, monkeypatch):
    options = {"segment": 3, "progress": False}
    fit(blobs.train_images, SMALL, out=tmp_path / "unbroken", **options)

    save, saved = CheckpointWriter.save, []

    def save_twice_then_die(writer, state, error):
        if len(saved) == 2:
            raise ZeroDivisionError
        saved.append(save(writer, state, error))

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointWriter, "save", save_twice_then_die)
        with pytest.raises(ZeroDivisionError):
            fit(blobs.train_images, SMALL, out=tmp_path / "killed", **options)
    fit(blobs.train_images, out=tmp_path / "killed", resume=True, **options)
    assert_same_runs(tmp_path / "unbroken", tmp_path / "killed")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_leaves_and_the_run_goes_on(
    blobs, finished, tmp_path, monkeypatch, number, code
):
    write, before = JsonLines.write, signal.getsignal(number)

    def write_and_be_asked_to_stop(scalars, step, values):
        write(scalars, step, values)
        if step == 16:
            signal.raise_signal(number)

    with monkeypatch.context() as patch:
        patch.setattr(JsonLines, "write", write_and_be_asked_to_stop)
        with pytest.raises(Interrupted, match=f"{number.name}: saved step 16") as stopped:
            fit(blobs.train_images, SMALL, out=tmp_path / "run", progress=False)
    assert isinstance(stopped.value, KeyboardInterrupt)
    assert (stopped.value.signal, stopped.value.code, stopped.value.step) == (number, code, 16)
    assert signal.getsignal(number) is before
    fit(blobs.train_images, SMALL, out=tmp_path / "run", resume=True, progress=False)
    assert_same_runs(finished, tmp_path / "run")


@pytest.mark.long
def test_the_last_good_state_of_a_run_that_diverges_is_kept(blobs, tmp_path):
    wild = SHORT.replace(learning_rate=1e30, schedule="constant")
    with pytest.raises(NonFiniteError, match="3 steps in a row were not finite"):
        fit(blobs.train_images, wild, out=tmp_path, patience=3, segment=2, progress=False)
    state = restore_checkpoint(tmp_path).state
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    assert int(state.step) == 3


def killed_while_saving(out):
    (out / "checkpoints" / ".00000008.1a2b3c4d.partial" / "state").mkdir(parents=True)


def killed_before_saving(out):
    out.mkdir()
    (out / "scalars.jsonl").write_text('{"step": 8, "loss": 1.0}\n{"step": 16, "lo')
    (out / "importance.jsonl").write_bytes(bytes(100))


@pytest.mark.parametrize("leave", [killed_while_saving, killed_before_saving, Path.mkdir])
def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(
    blobs, finished, tmp_path, leave
):
    out = tmp_path / "run"
    leave(out)
    with pytest.raises(ValueError, match="nothing has been saved there yet"):
        fit(blobs.train_images, SMALL, out=out, resume=True)
    fit(blobs.train_images, SMALL, out=out, progress=False)
    assert_same_runs(finished, out)
    assert not [*out.rglob("*.partial")]


def test_a_live_run_is_not_touched_by_one_that_would_resume_it(blobs, copied):
    newest = checkpoints(copied)[-1]
    (newest / "about.json").write_text("{}")
    with (
        run_folder.sole_writer(copied),
        pytest.raises(ValueError, match="is being written by another run"),
    ):
        fit(blobs.train_images, out=copied, resume=True)
    assert checkpoints(copied)[-1] == newest


@pytest.mark.parametrize("name", ["the largest", "about.json"])
def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_goes_on(
    blobs, finished, copied, caplog, name
):
    newest = checkpoints(copied)[-1]
    files = sorted((p for p in newest.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    spoilt = files[-1] if name == "the largest" else newest / name
    spoilt.write_bytes(spoilt.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=f"{spoilt.name} is damaged"):
        load(newest)
    fit(blobs.train_images, out=copied, resume=True, progress=False)
    assert "NOT USED" in caplog.text
    assert str(spoilt) in caplog.text
    assert (copied / "checkpoints" / f"{newest.name}.damaged-1" / "about.json").is_file()
    assert_same_runs(finished, copied)


def test_a_folder_in_use_is_not_touched(blobs, copied):
    before = (copied / "scalars.jsonl").read_text()
    with pytest.raises(ValueError, match="holds a run already"):
        fit(blobs.train_images, SMALL, out=copied)
    assert (copied / "scalars.jsonl").read_text() == before


def test_a_folder_that_another_run_writes_is_refused(blobs, tmp_path):
    with (
        run_folder.sole_writer(tmp_path),
        pytest.raises(ValueError, match="is being written by another run"),
    ):
        fit(blobs.train_images, SMALL, out=tmp_path)


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        (lambda x: x, SMALL.replace(k=3), "k was 2, got 3"),
        (lambda x: x, SMALL.replace(learning_rate=0.5), "learning_rate was 0.002, got 0.5"),
        (lambda x: x[::-1], SMALL, "resume needs the same data"),
    ],
)
def test_resuming_another_run_is_refused(blobs, finished, change, config, message):
    with pytest.raises(ValueError, match=message):
        fit(change(blobs.train_images), config, out=finished, resume=True)
