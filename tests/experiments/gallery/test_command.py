"""The command finds the inputs of a run, previews, and the rows of a study."""

import numpy as np
import pytest

from experiments.gallery import __main__ as gallery
from experiments.gallery import study_rows
from experiments.records.rows import ResultsFile, Row
from experiments.reporting.compose import write_report
from experiments.reporting.galleries import gallery_folder
from experiments.study.lineup import ELEMENT
from tests.helpers.galleries import data_of
from tests.helpers.idx_files import write_dataset
from tests.helpers.runs import untrained
from vae_topk_jax.checkpoint import save_checkpoint
from vae_topk_jax.runs.importance_log import ImportanceLog
from vae_topk_jax.runs.run_folder import write_names


@pytest.fixture(scope="module")
def model(blobs):
    return untrained(blobs, selection="element")


@pytest.fixture(scope="module")
def run(model, blobs, tmp_path_factory):
    """A run that knows its data, with an importance log."""
    folder = tmp_path_factory.mktemp("run")
    save_checkpoint(folder / "checkpoints", model.state, model.info)
    write_names(folder, {"data": str(write_dataset(folder / "spots", blobs)), "limit": 20})
    ImportanceLog(folder, total_steps=3).write(3, np.ones((3, 8)))
    return folder


def test_a_runs_own_inputs_are_shown(run, blobs, tmp_path, capsys):
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(f"spot {i}" for i in range(20)))
    out = tmp_path / "gallery"
    gallery.main(["--checkpoint", str(run), "--out", str(out), "--previews", str(texts)])
    assert f"gallery: {out / 'index.html'}" in capsys.readouterr().out
    summary = data_of(out, "summary")
    assert summary["inputs"] == 20
    assert summary["source"].startswith("test split of")
    assert summary["history"] == [1, 2, 3]
    found = [
        x for record in data_of(out, "records-000") for x in record.get("examples", {}).values()
    ]
    assert all(text == f"spot {index}" for part in found for index, _, _, text in part)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give either a checkpoint or results"),
        (["--checkpoint", "{run}", "--results", "x"], "give either a checkpoint or results"),
        (["--checkpoint", "none"], "no checkpoint in "),
        (["--checkpoint", "{run}", "--row", "x"], "row goes with results: leave it out"),
        (["--results", "x", "--meta", "x"], "meta goes with a checkpoint: leave it out"),
        (["--results", "x"], "no results file at x/results.json"),
        (["--checkpoint", "{run}", "--previews", "a.doc"], "previews must be a .txt or .npy file"),
        (
            ["--checkpoint", "{run}", "--split", "dev"],
            "invalid choice 'dev' for argument '--split'",
        ),
    ],
)
def test_bad_flags_exit_with_2_and_a_reason(run, flags, message, capsys, monkeypatch):
    monkeypatch.setattr(gallery, "load", lambda path: pytest.fail("a model was loaded"))
    with pytest.raises(SystemExit) as stopped:
        gallery.main([flag.format(run=run) for flag in flags])
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 3)), "previews must be uint8 images"),
        (np.zeros((2, 3), np.uint8), "previews must be uint8 images"),
        (None, "is no array"),
    ],
)
def test_previews_of_another_kind_are_refused(array, message, tmp_path):
    path = tmp_path / "images.npy"
    path.write_bytes(b"text")
    if array is not None:
        np.save(path, array)
    with pytest.raises(ValueError, match=message):
        gallery.read_previews(path)
    np.save(path, np.zeros((2, 3, 3), np.uint8))
    assert gallery.read_previews(path).shape == (2, 3, 3, 1)


def test_a_studys_default_model_gets_a_gallery_and_the_report_a_link(
    model, blobs, tmp_path, monkeypatch
):
    trained = []
    monkeypatch.setattr(gallery, "load_dataset", lambda *_: blobs)
    monkeypatch.setattr(study_rows, "fit", lambda *given: trained.append(given) or model)
    study = tmp_path / "study"
    about = {"experiment": "table1", "variant": "averaged KL", "data": blobs.describe()}
    config = model.config.to_dict() | {"samples": 9}
    rows = [
        Row(**about, model=name, config=config, seed=0, metrics={"psnr": 1.0}, seconds=1.0)
        for name in ("another", ELEMENT)
    ]
    results = ResultsFile(study)
    results.merge(rows)
    results.describe(data_digest=blobs.digest)
    gallery.main(["--results", str(study)])
    ((dataset, trained_config),) = trained
    assert (dataset.digest, trained_config) == (blobs.digest, model.config)
    folder = gallery_folder(study, rows[1])
    assert data_of(folder, "summary")["latents"] == 8
    for out in (None, tmp_path / "elsewhere"):
        markdown, page = write_report(study, [], out)
        prefix = "" if out is None else "../study/"
        address = f"{prefix}galleries/{folder.name}/index.html"
        assert f"({address})" in markdown.read_text()
        assert f'<a href="{address}">' in page.read_text()
    results.describe(data_digest="another")
    with pytest.raises(SystemExit):
        gallery.main(["--results", str(study)])
    with pytest.raises(SystemExit):
        gallery.main(["--results", str(study), "--row", "none"])
