"""Model files go to a hub and come back whole, or not at all."""

import shutil

import jax
import numpy as np
import pytest

from experiments import export, hub
from experiments.chaos.stand_in_hub import running_hub
from experiments.terminal import cli
from tests.helpers.runs import untrained
from vae_topk_jax import load_exported, load_weights
from vae_topk_jax.checkpoint import save_checkpoint
from vae_topk_jax.data import to_unit_float
from vae_topk_jax.fitted_priors import save_priors
from vae_topk_jax.foreign import regular_files
from vae_topk_jax.hub import FILES

pytest.importorskip("huggingface_hub")
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def model(blobs):
    model = untrained(blobs)
    model.fit_prior(to_unit_float(blobs.train_images), "patterns")
    return model


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    save_checkpoint(out / "checkpoints", model.state, model.info)
    save_priors(model.priors, out, model.variables)
    flags = ["--checkpoint", str(out / "checkpoints"), "--out", str(out / "exported")]
    cli.run(export.main, flags)
    return out / "exported"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_none")
    with running_hub() as server:
        yield server


def push(server, folder, *flags) -> None:
    where = ["--repo", "me/digits", "--endpoint", server.endpoint]
    hub.main(["push", "--folder", str(folder), *where, *flags])


def pull(server, out, *flags) -> None:
    where = ["--repo", "me/digits", "--endpoint", server.endpoint]
    hub.main(["pull", "--out", str(out), *where, *flags])


def test_what_is_pushed_is_pulled_and_runs(server, folder, model, blobs, tmp_path):
    (folder / "notes.txt").write_text("not for others")
    try:
        with pytest.raises(SystemExit):
            push(server, folder)
    finally:
        (folder / "notes.txt").unlink()
    push(server, folder)
    assert server.private == {"me/digits": True}
    expected = {name for name in FILES if "priors/" not in name or "/patterns/" in name}
    assert set(server.repos["me/digits"]) == expected
    pull(server, tmp_path / "pulled")
    assert set(regular_files(tmp_path / "pulled")) == expected
    x = to_unit_float(blobs.test_images)
    codes = load_exported(tmp_path / "pulled").encode(x)
    np.testing.assert_allclose(codes, model.encode(x), atol=1e-6)
    again = load_weights(tmp_path / "pulled")
    np.testing.assert_array_equal(again.encode(x), model.encode(x))
    np.testing.assert_array_equal(again.generate(KEY, 2), model.generate(KEY, 2))


def refused(call, capsys, *given) -> str:
    with pytest.raises(SystemExit) as stopped:
        call(*given)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_damaged_large_foreign_and_missing_files_leave_nothing(server, folder, tmp_path, capsys):
    push(server, folder)
    files, out = server.repos["me/digits"], tmp_path / "pulled"
    assert "must have at most 0 MB (largest)" in refused(
        pull, capsys, server, out, "--largest", "0"
    )

    files["run.pkl"] = b"\x80\x04cos\nsystem\n."
    pull(server, tmp_path / "without")
    assert not (tmp_path / "without" / "run.pkl").exists()

    files["model.safetensors"] = files["model.safetensors"][:-1] + b"\1"
    assert "model.safetensors is damaged" in refused(pull, capsys, server, out)
    del files["MANIFEST"]
    assert "MANIFEST is missing" in refused(pull, capsys, server, out)
    server.repos.clear()
    assert f"me/digits at {server.endpoint}: " in refused(pull, capsys, server, out)
    assert [path.name for path in tmp_path.iterdir()] == ["without"]


@pytest.mark.parametrize("name", ["README.md", "config.json", ".git/hooks"])
def test_nothing_outside_of_the_folder_is_pushed(server, folder, name, tmp_path, capsys):
    copy, secret = shutil.copytree(folder, tmp_path / "copy"), tmp_path / "secret"
    secret.write_text("not for others")
    (copy / name).unlink(missing_ok=True)
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).symlink_to(secret)
    assert f"{name} must be a regular file, got a link" in refused(push, capsys, server, copy)
    assert not server.repos


def test_no_command_is_said(capsys):
    assert "push" in refused(hub.main, capsys, [])
