"""The report: its sections, its pictures, its two files."""

import re
from pathlib import Path

import pytest

import experiments
from experiments.records.rows import Row, write_results
from experiments.report import LAYOUTS, main
from experiments.reporting.compose import write_report
from experiments.terminal import cli
from tests.helpers.html_page import Page
from tests.helpers.report_rows import ALL, SEEDS, other, rows_of, stability, table1, table2


@pytest.mark.parametrize("seeds", [pytest.param([0], marks=pytest.mark.long), SEEDS], ids=len)
def test_the_report_is_complete_and_self_contained(tmp_path, seeds):
    write_results(tmp_path, rows_of(*ALL, seeds=seeds), {"cpu": "x", "probe_accuracy": 0.99})
    markdown_path, page_path = write_report(tmp_path, LAYOUTS)
    markdown, page = markdown_path.read_text(), Page(page_path.read_text())

    pictures = sorted(re.findall(r"\]\((figures/[^)]*)\)", markdown))
    assert pictures == [
        "figures/ablation-k-8-of-64-churn.png",
        "figures/ablation-k-8-of-64-fronts.png",
        "figures/answer.png",
        "figures/table1-averaged-kl-importance.png",
        "figures/table1-averaged-kl-losses.png",
        "figures/table1-averaged-kl-points.png",
        "figures/table1-averaged-kl-reconstructions.png",
        "figures/table1-averaged-kl-samples.png",
        "figures/table2-trained-to-denoise-noise-0.5.png",
        "figures/table2-trained-to-denoise-points.png",
    ]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    shown = [address for address in page.addresses if address.startswith("data:image/png;base64,")]
    assert len(shown) == len(pictures)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)

    assert set(re.findall(r"^## (.*)$", markdown, re.MULTILINE)) <= set(page.texts)
    assert "not comparable with Inception FID" in markdown
    assert "10,000 images against 16 test images" in markdown
    assert "99.00 % of the clean test images" in markdown
    assert "| train images (floor) |  |  | 1.4 | 1.4 | 1.4 |  |" in markdown
    assert "own\\_metric" in markdown
    assert ("difference to beta-VAE" in markdown) == (len(seeds) > 1)
    # in the banner; or in the sentence on verdicts, and as the verdict on one claim
    assert markdown.count("inconclusive") == (1 if len(seeds) == 1 else 2)


def test_the_answer_comes_before_everything_else(tmp_path):
    write_results(tmp_path, rows_of(*ALL), {})
    text = write_report(tmp_path, LAYOUTS)[0].read_text()
    sections = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert sections[:2] == ["The answer", "The paper's claims"]
    assert sections[-1] == "Details"
    answer = text.partition("## The paper's claims")[0]
    assert answer.index("figures/answer.png") < answer.index("| beta-VAE; averaged KL |")
    assert "| the paper: Batch Top-K | 0.8992 | 0.8329 | **0.7841** |" in answer


@pytest.mark.long
def test_what_is_long_folds_away(tmp_path):
    rows = rows_of(table1)
    many = [
        Row(**vars(row) | {"model": f"{row.model} {n}", "pictures": None})
        for row in rows
        for n in range(9)
    ]
    write_results(tmp_path, rows + many, {"data_digest": "e01a2336"})
    folded = write_report(tmp_path, LAYOUTS)[0].read_text().split("<details>\n")[1:]
    parts = dict(part.partition("</details>")[0].split("</summary>", 1) for part in folded)
    titles = [title.removeprefix("<summary>") for title in parts]
    assert titles == [
        "Table: averaged KL",
        "Table: averaged KL, difference to beta-VAE",
        "What was run",
        "Definitions",
        "Settings besides the defaults",
    ]
    assert "e01a2336" in parts["<summary>What was run"]


@pytest.mark.parametrize("experiment", ALL)
def test_missing_experiments_leave_no_trace(tmp_path, experiment):
    write_results(tmp_path, rows_of(experiment), {})
    markdown, _ = write_report(tmp_path / "results.json", LAYOUTS, tmp_path / "report")
    text = markdown.read_text()
    for title, owner in (("Table 1", table1), ("Table 2", table2), ("Stability", stability)):
        assert (f"## {title}" in text) == (owner is experiment)


def test_every_experiment_is_in_the_report_once():
    declared = [
        file
        for file in Path(experiments.__path__[0]).rglob("*.py")
        if re.search(r"^LAYOUT = ", file.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len({layout.name for layout in LAYOUTS}) == len(LAYOUTS) == len(declared)


def test_an_empty_results_file_still_makes_a_report(tmp_path):
    write_results(tmp_path, [], {})
    assert "Seeds: none." in write_report(tmp_path, LAYOUTS)[0].read_text()


def test_superseded_rows_are_left_out_and_counted(tmp_path):
    rows = rows_of(other)
    newer = [Row(**vars(rows[0]) | {"config": {"k": 4}, "metrics": {"own_metric": 7.5}})]
    write_results(tmp_path, rows + newer, {})
    text = write_report(tmp_path, LAYOUTS)[0].read_text()
    assert "superseded by later ones with other settings: 3." in text
    assert "| Top-K, K=4 | 7.5000 |" in text


def test_the_command_names_a_missing_file_in_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.run(main, ["--results", str(tmp_path)])
    assert "error: no results file at" in capsys.readouterr().err
