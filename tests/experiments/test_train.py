"""The training command, as a user types it."""

import json
import shutil
import signal

import jax
import pytest

from experiments import train
from experiments.records.rows import read_results
from tests.helpers.runs import FLAGS, SIZES
from vae_topk_jax import load
from vae_topk_jax.data.idx import read_idx, write_idx
from vae_topk_jax.runs.run_folder import read_names, sole_writer
from vae_topk_jax.runs.scalars import JsonLines, read_scalars

SAE = ["--model", "batch_topk_sae", *SIZES]


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


@pytest.mark.long
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_has_an_exit_code_and_the_run_goes_on(
    data, tmp_path, monkeypatch, capsys, number, code
):
    write = JsonLines.write

    def write_and_be_asked_to_stop(scalars, step, values):
        write(scalars, step, values)
        if step == 11:
            signal.raise_signal(number)

    with monkeypatch.context() as patch:
        patch.setattr(JsonLines, "write", write_and_be_asked_to_stop)
        with pytest.raises(SystemExit) as stopped:
            run(data, tmp_path / "stopped", *FLAGS, "--segment", "3")
    assert stopped.value.code == code
    assert f"{number.name}: saved step 11; go on with --resume" in capsys.readouterr().err
    run(data, tmp_path / "stopped", "--resume", "--segment", "3")
    assert load(tmp_path / "stopped").state.step == 24


def test_a_folder_that_another_run_writes_is_refused(data, tmp_path, capsys):
    with sole_writer(tmp_path / "run"), pytest.raises(SystemExit) as stopped:
        run(data, tmp_path / "run", *FLAGS)
    assert stopped.value.code == 2
    assert "is being written by another run" in capsys.readouterr().err


@pytest.mark.long
def test_a_run_that_diverges_has_an_exit_code(data, tmp_path, capsys):
    wild = ["--learning-rate", "1e30", "--schedule", "constant", "--patience", "3"]
    with pytest.raises(SystemExit) as stopped:
        run(data, tmp_path / "run", *FLAGS, *wild)
    assert stopped.value.code == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: stopped at step 3: 3 steps in a row were not finite")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--k", "9", "--latent-dim", "8"], "k must be at most latent_dim, 8, got 9"),
        (["--k", "many"], "--k: invalid literal for int() with base 10: 'many'"),
        (["--k"], "Missing value for argument '--k'"),
        (["--model", "none"], "model must be one of ['batch_topk_sae', "),
        (["--depth", "3"], "--depth"),
        (["--latent-dims", "8"], "--latent-dims, 8: did you mean --latent-dim?"),
        (["--model", "vae", "--k", "2"], "k is not a field of vae; it belongs to top_k_vae, "),
        (["--hysteresis", "0.1"], "hysteresis was removed after version 0.1.0: it changed nothing"),
        (["--importance", "var_mu"], "importance 'var_mu' was removed after version 0.1.0: "),
        (["--epochs", "0"], "epochs must be at least 1, got 0"),
        (["--save-every", "0"], "save_every must be at least 1, got 0"),
        (["--segment", "0"], "segment must be at least 1, got 0"),
        (["--batch-size", "4000"], "batch_size must be at most the 512 training images, got 4000"),
        (["--resume"], "nothing has been saved there yet"),
    ],
)
def test_bad_flags_exit_with_2_and_a_reason(data, tmp_path, capsys, flags, message):
    with pytest.raises(SystemExit) as stopped:
        run(data, tmp_path / "run", *flags)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
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


def test_a_run_resumes_on_the_data_that_it_found(data, tmp_path, monkeypatch):
    monkeypatch.chdir(data.parent)
    monkeypatch.setenv("VAE_TOPK_DATA", data.name)
    out = ["--out", str(tmp_path / "run")]
    train.main([*out, *FLAGS[:-1], "1"])
    monkeypatch.setenv("VAE_TOPK_DATA", "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    train.main([*out, "--resume"])
    assert read_names(tmp_path / "run") == {"data": str(data), "inputs": "pixels"}


def test_resuming_on_other_data_is_refused(data, tmp_path, capsys):
    run(data, tmp_path / "run", *FLAGS[:-1], "1")
    images = read_idx(data / "train-images-idx3-ubyte")
    write_idx(data / "train-images-idx3-ubyte", images[::-1])
    with pytest.raises(SystemExit) as stopped:
        run(data, tmp_path / "run", "--resume")
    assert stopped.value.code == 2
    assert "resume needs the same data" in capsys.readouterr().err


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


@pytest.mark.long
def test_a_dictionary_of_a_hidden_layer_is_trained_saved_and_resumed(data, tmp_path, capsys):
    run(data, tmp_path / "vae", *FLAGS)
    layer = ("--inputs", str(tmp_path / "vae" / "checkpoints"))
    run(data, tmp_path / "sae", *SAE, *layer)
    sae = load(tmp_path / "sae" / "checkpoints")
    vae = load(tmp_path / "vae" / "checkpoints")
    width = vae.config.widths[-1]
    assert sae.info.image_shape == (1, 1, width)
    (row,) = read_results(tmp_path / "sae").rows
    assert row.data["inputs"] == f"last hidden layer of top_k_vae, step {int(vae.state.step)}"
    assert 0 < row.metrics["explained_variance"] == 1 - row.metrics["nmse"] < 1
    run(data, tmp_path / "sae", "--resume")
    with pytest.raises(SystemExit):
        run(data, tmp_path / "sae", "--resume", "--inputs", "pixels")
    assert "resume needs the same data" in capsys.readouterr().err


@pytest.mark.long
def test_a_resumed_run_takes_the_flags_of_its_own_system(data, tmp_path, capsys):
    run(data, tmp_path / "run", "--model", "vsc", *SIZES, "--vsc-prior", "fixed", "--epochs", "1")
    run(data, tmp_path / "run", "--resume", "--vsc-prior", "fixed")
    with pytest.raises(SystemExit):
        run(data, tmp_path / "run", "--resume", "--nested", "2")
    assert "nested is not a field of vsc; it belongs to top_k_vae" in capsys.readouterr().err


def test_a_model_without_an_encoder_gives_no_layer(data, tmp_path, capsys):
    run(data, tmp_path / "sae", *SAE[:-1], "1")
    with pytest.raises(SystemExit):
        run(data, tmp_path / "of", *SAE, "--inputs", str(tmp_path / "sae" / "checkpoints"))
    assert "batch_topk_sae in" in capsys.readouterr().err
    (row,) = read_results(tmp_path / "sae").rows
    assert row.metrics["psnr"] > 5


@pytest.mark.parametrize(
    ("step", "advice"), [(None, "there is no checkpoint yet"), (4, "the last checkpoint is intact")]
)
def test_a_lost_process_has_an_exit_code_and_the_advice_fits(
    tmp_path, golden_run, monkeypatch, capsys, step, advice
):
    def end(code):
        raise SystemExit(code)

    if step is not None:
        shutil.copytree(golden_run / f"{step:08d}", tmp_path / "checkpoints" / f"{step:08d}")
    monkeypatch.setattr(train.os, "_exit", end)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(SystemExit, match="4"), train._exit_codes(tmp_path):
        raise jax.errors.JaxRuntimeError("UNAVAILABLE: nobody there")
    (line,) = capsys.readouterr().err.splitlines()
    assert advice in line
    assert "UNAVAILABLE" in line


def test_sigint_ends_the_command_before_and_after_its_turns(data, tmp_path, monkeypatch):
    seen, usual = [], signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(train, "train", lambda _: seen.append(signal.getsignal(signal.SIGINT)))
    run(data, tmp_path / "run")
    assert seen == [signal.SIG_DFL]
    assert signal.getsignal(signal.SIGINT) is usual
