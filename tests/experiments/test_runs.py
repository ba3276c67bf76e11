"""Runs are found again: listed, shown, compared."""

import dataclasses
import json
import os
import shutil

import jax.numpy as jnp
import pytest

from experiments import runs
from experiments.records.rows import ResultsFile, Row, read_results
from tests.helpers.runs import untrained
from vae_topk_jax.checkpoint import save_checkpoint
from vae_topk_jax.runs.scalars import open_sinks


@pytest.fixture(scope="module")
def written(blobs, tmp_path_factory):
    """Two runs that ended, one that did not, and a study."""
    folder = tmp_path_factory.mktemp("week")
    write_run(blobs, folder / "first", 24, seed=1)
    write_run(blobs, folder / "deep" / "second", 24, seed=1, k=3, beta=0.5)
    write_run(blobs, folder / "stopped", 8, body="conv", widths=(2, 3))
    rows = [measured({"samples": 9}, blobs, f"model {k}", "table1", psnr=k) for k in (1, 2)]
    ResultsFile(folder / "study").merge(rows)
    (folder / "other").mkdir()
    return folder


@pytest.fixture
def week(written, blobs, tmp_path, monkeypatch):
    monkeypatch.setattr(runs.console, "width", 400)
    monkeypatch.setattr(runs, "load_dataset", lambda data: blobs)
    return shutil.copytree(written, tmp_path / "week")


def write_run(blobs, out, steps: int, **changes) -> None:
    model = untrained(blobs, **changes)
    info = dataclasses.replace(model.info, data_digest=blobs.digest)
    state = dataclasses.replace(model.state, step=jnp.asarray(steps, jnp.int32))
    save_checkpoint(out / "checkpoints", state, info)
    with open_sinks(out, 0, {}) as sinks:
        for step in range(8, steps + 1, 8):
            values = {"epoch": step / 8, "loss": 1 / step, "reconstruction": 1 / step, "kl": 0.25}
            sinks.write(step, values)
    if steps == info.trainer.total_steps:
        row = measured(info.config.to_dict(), blobs, psnr=20 + info.config.k)
        ResultsFile(out).add(row)


def measured(config: dict, blobs, model="top_k_vae", experiment="train", **metrics) -> Row:
    about = {"variant": "", "seed": config.get("seed", 5), "data": blobs.describe(), "seconds": 1.0}
    return Row(experiment=experiment, model=model, config=config, metrics=metrics, **about)


def printed(capsys, *command) -> list[str]:
    runs.main([*map(str, command)])
    return capsys.readouterr().out.splitlines()


def test_every_run_is_listed_in_the_order_of_time_with_what_tells_it(week, capsys):
    for age, name in enumerate(("study", "stopped", "deep/second", "first")):
        for path in (week / name).iterdir():
            os.utime(path, (1e9 - age, 1e9 - age))
    lines = [line for line in printed(capsys, "list", week) if line.startswith("│")]
    assert [line.split()[1] for line in lines] == ["first", "deep/second", "stopped", "study"]
    first, second, stopped, study = lines
    assert "24 of 24" in first
    assert "psnr=22" in first
    assert "k=3" in second
    assert "beta=0.5" in second
    assert "synthetic spots" in second
    assert "8 of 24" in stopped
    assert "psnr" not in stopped
    assert "body=conv widths=[2, 3]" in stopped
    assert "table1: 2 rows" in study


def test_a_list_is_narrowed(week, capsys):
    lines = printed(capsys, "list", week, "--match", "body=conv")
    assert [line.split()[1] for line in lines if line.startswith("│")] == ["stopped"]


def test_a_damaged_run_hides_no_other(week, capsys):
    (week / "study" / "results.json").write_text("{")
    lines = printed(capsys, "list", week)
    assert sum(line.startswith("│") for line in lines) == 3
    assert any("left out: damaged results file" in line for line in lines)


def test_a_run_is_shown_with_its_defaults_metrics_and_scalars(week, capsys):
    text = "\n".join(printed(capsys, "show", week / "deep" / "second"))
    (beta,) = [line for line in text.splitlines() if line.startswith("│ beta ")]
    assert [cell.strip() for cell in beta.split("│")[1:-1]] == ["beta", "0.5", "not 0.001"]
    for value in ("23", "0.041667", "24 of 24", "synthetic spots"):
        assert value in text


def test_runs_are_compared_by_what_differs(week, capsys):
    lines = printed(capsys, "compare", week / "first", week / "deep" / "second")
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert ["k", "2", "3"] in cells
    assert ["beta", "0.001", "0.5"] in cells
    assert ["PSNR, dB\u00a0↑", "22.00", "23.00"] in cells
    assert not any(cell[0] in ("seed", "widths", "data") for cell in cells)


def test_a_comparison_is_reported_with_pictures(week, tmp_path, capsys):
    names = ["first", "deep/second", "stopped"]
    printed(capsys, "compare", *(week / name for name in names), "--out", tmp_path / "report")
    rows = read_results(tmp_path / "report").rows
    assert [row.model for row in rows] == names
    assert all({"originals", "reconstructions"} == row.pictures.keys() for row in rows)
    assert rows[0].history["loss"] == [1 / 8, 1 / 16, 1 / 24]
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/png") == 2


def test_runs_on_other_images_get_no_pictures(week, blobs, tmp_path, capsys, monkeypatch):
    other = dataclasses.replace(blobs, test_images=255 - blobs.test_images)
    monkeypatch.setattr(runs, "load_dataset", lambda data: other)
    given = (week / "first", week / "study", "--out", tmp_path / "report")
    assert any(
        "no pictures: no checkpoint in" in line for line in printed(capsys, "compare", *given)
    )
    assert all(row.pictures is None for row in read_results(tmp_path / "report").rows)


def test_a_checkpoint_of_another_format_leaves_the_measured_configuration(week, capsys):
    about = next((week / "first" / "checkpoints").glob("*/about.json"))
    about.write_text(json.dumps(json.loads(about.read_text()) | {"format": 1}))
    text = "\n".join(printed(capsys, "show", week / "first"))
    assert "latent_dim" in text
    assert "24" in text


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["list", "none"], "no folder none"),
        (["list", "{}/other"], "folder must hold a run, got"),
        (["list", "{}", "--match", "nothing"], "a run with 'nothing' in it"),
        (["show", "{}/other"], "holds no run: none of results.json, scalars.jsonl, checkpoints"),
        (["compare", "{}/first"], "compare needs two runs or more, got 1"),
        (["compare", "{}/first", "{}/first"], "runs must be distinct"),
        ([], "Expected one of {list, show, compare}"),
    ],
)
def test_bad_commands_exit_with_2_and_a_reason(week, capsys, command, message):
    with pytest.raises(SystemExit) as stopped:
        runs.main([text.replace("{}", str(week)) for text in command])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
