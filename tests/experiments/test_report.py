"""The report: its tables, its verdicts, its two files."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import experiments
from experiments import table2 as command
from experiments.records.pictures import encode_images
from experiments.records.rows import Row, write_results
from experiments.report import LAYOUTS, main
from experiments.reporting.claims import FAILS, OPEN, REPLICATES, claims, claims_table
from experiments.reporting.columns import ACCURACY, QUALITY
from experiments.reporting.compose import write_report
from experiments.reporting.tables import (
    Cell,
    difference_table,
    differences,
    measured,
    metric_table,
    to_html,
    to_markdown,
)
from experiments.terminal import cli

SEEDS = (0, 1, 2)
NOISE = np.array([0.1, -0.2, 0.3, -0.1])
IMAGES = encode_images(np.arange(12 * 16, dtype=np.uint8).reshape(12, 4, 4, 1))
TOP_K = "Top-K, literal mean |z|"


def make_row(experiment, variant, model, seed, metrics, **more):
    return Row(
        experiment=experiment,
        variant=variant,
        model=model,
        config={"samples": 10000, "k": 8},
        seed=seed,
        data={"source": "synthetic", "train": 64, "test": 16},
        metrics=metrics,
        seconds=60.0,
        **more,
    )


def history(sparse):
    values = {"epoch": [1, 2], "loss": [2.0, 1.0], "reconstruction": [1.0, 0.5], "kl": [0.0, 50.0]}
    if sparse:
        importance = {"step": [1, 2], "values": [[1.0, 0.0, 0.5], [2.0, 0.01, 0.5]]}
        values["importance"] = importance | {"active_dims": [0, 2]}
    return values


def table1(seeds):
    pictures = dict.fromkeys(["originals", "reconstructions", "samples_prior"], IMAGES)
    means = {"beta-VAE": (24.0, 0.9, 110.0, 60.0), TOP_K: (18.0, 0.7, 90.0, 60.5)}
    for model, (psnr, ssim, prior, mixture) in means.items():
        for seed in seeds:
            noise = NOISE[seed] * (1 if model == TOP_K else -1)
            metrics = {
                "psnr": psnr + noise,
                "ssim": ssim,
                "fid_clf_prior": prior + noise,
                "fid_clf_mixture": mixture + noise,
                "active_dims": 8,
            }
            yield make_row(
                "table1", "averaged KL", model, seed, metrics,
                history=history(model == TOP_K), pictures=pictures,
            )  # fmt: skip
    pca = {"psnr": 30.0, "fid_clf_mixture": 70.0}
    yield make_row("table1", "averaged KL", "PCA, 64 components", None, pca)
    yield make_row("table1", "averaged KL", "train images (floor)", None, {"fid_clf": 1.4})


def table2(seeds):
    pictures = dict.fromkeys(["originals", "noisy_0.5", "reconstructed_0.5"], IMAGES)
    for model, shift in (("beta-VAE", 0.0), ("Top-K, default", -0.02)):
        for seed in seeds:
            metrics = {f"accuracy_{sigma}": 0.9 + shift + NOISE[seed] / 100 for sigma in (0.3, 0.5)}
            metrics["accuracy_0.7"] = 0.6 - 5 * shift
            yield make_row("table2", "trained to denoise", model, seed, metrics, pictures=pictures)


def stability(seeds):
    for seed in seeds:
        metrics = {"jaccard_1": 0.5, "jaccard_512": 1.0, "shift_ema_8": 0.0, "shift_batch_8": 0.25}
        yield make_row("stability", "", "Top-K, default", seed, metrics)


def other(seeds):
    for seed in seeds:
        yield make_row("study", "", "Top-K, K=4", seed, {"own_metric": 1.5})


def ablation(seeds):
    for number, model in enumerate(["beta-VAE", "element: |mu|", "dimension: KL"]):
        for seed in seeds:
            metrics = {
                "psnr": 20.0 + number + NOISE[seed],
                "fid_clf_prior": 90.0,
                "fid_clf_patterns": 50.0 - number,
                "fid_clf_mixture": 60.0,
                "active_latents": 8.0 * number,
                "accuracy_0.5": 0.5 + number / 10,
                "agreement": 0.9,
            }
            churn = history(sparse=False) | ({"agreement": [0.5, 0.9]} if number else {})
            yield make_row("ablation", "K=8 of 64", model, seed, metrics, history=churn)


ALL = (table1, table2, stability, ablation, other)


def rows_of(*experiments, seeds=SEEDS):
    return [row for experiment in experiments for row in experiment(seeds)]


class Page(HTMLParser):
    """Checks that tags close in order, and collects addresses and texts."""

    def __init__(self, text):
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_a_table_has_means_intervals_and_the_best_in_bold():
    rows = rows_of(table1)
    table = to_markdown(metric_table("title", measured(rows, QUALITY), QUALITY))
    assert table.splitlines()[0] == "**title**"
    assert "| model | PSNR, dB\u00a0↑ | SSIM\u00a0↑ |" in table
    assert "| beta-VAE | **23.93 ± 0.63** | **0.900 ± 0.000** |" in table
    assert r"| Top-K, literal mean \|z\| | 18.07 ± 0.63 | 0.700 ± 0.000 |" in table
    assert "| PCA, 64 components | 30.00 |  |" in table
    assert "floor" not in table


def test_markdown_and_html_tables_hold_the_same_cells():
    table = metric_table("a < b", measured(rows_of(table1), QUALITY), QUALITY, note="n & m")
    texts = [text for text in Page(to_html(table)).texts if text]
    cells = [cell.text for line in table.body for cell in line if cell.text]
    assert texts == ["a < b", *table.header, *cells, "n & m"]


def test_differences_are_signed_and_bold_where_they_leave_out_zero():
    rows = rows_of(table2)
    table = to_markdown(difference_table("title", differences(rows, ACCURACY), ACCURACY))
    assert "beta-VAE" not in table
    assert "| **-0.0200 ± 0.0000** | **-0.0200 ± 0.0000** | **+0.1000 ± 0.0000** |" in table


def test_the_papers_table_is_printed_as_published():
    table = to_markdown(metric_table("The paper", *command.PAPER))
    assert "| beta-VAE | **0.9125** | **0.8493** | 0.6486 |" in table
    assert "| Batch Top-K | 0.8992 | 0.8329 | **0.7841** |" in table


def test_verdicts_follow_the_interval():
    findings = {finding.claim.metric: finding for finding in claims(rows_of(*ALL))}
    assert {metric: finding.verdict for metric, finding in findings.items()} == {
        "fid_clf_prior": REPLICATES,
        "fid_clf_mixture": OPEN,
        "psnr": REPLICATES,
        "ssim": REPLICATES,
        "accuracy_0.3": REPLICATES,
        "accuracy_0.5": REPLICATES,
        "accuracy_0.7": REPLICATES,
    }
    assert findings["psnr"].figures == "-5.87 ± 1.26 dB"


@pytest.mark.parametrize(("gap", "verdict"), [(-0.02, REPLICATES), (-0.2, FAILS), (0.1, FAILS)])
def test_slightly_less_accurate_has_two_ends(gap, verdict):
    rows = [
        make_row("table2", "v", model, seed, {"accuracy_0.3": accuracy})
        for model, accuracy in (("beta-VAE", 0.5), ("Top-K, default", 0.5 + gap))
        for seed in SEEDS
    ]
    assert [finding.verdict for finding in claims(rows)] == [verdict]


def test_one_table_holds_every_claim_with_its_verdict():
    table = claims_table(claims(rows_of(*ALL)))
    assert table.header == ["claim", TOP_K, "Top-K, default"]
    assert [line[0].note for line in table.body] == 4 * ["averaged KL"] + 3 * ["trained to denoise"]
    psnr, last = table.body[2], table.body[-1]
    assert psnr[1:] == [Cell("-5.87 ± 1.26 dB", note=REPLICATES), Cell("")]
    assert last[1:] == [Cell(""), Cell("+0.1000 ± 0.0000", note=REPLICATES)]


def test_one_seed_is_inconclusive_and_no_cell_repeats_it():
    findings = claims(rows_of(*ALL, seeds=[0]))
    assert {finding.verdict for finding in findings} == {OPEN}
    cells = [cell for line in claims_table(findings).body for cell in line[1:]]
    assert {cell.note for cell in cells} == {""}


@pytest.mark.parametrize("seeds", [[0], SEEDS])
def test_the_report_is_complete_and_self_contained(tmp_path, seeds):
    write_results(tmp_path, rows_of(*ALL, seeds=seeds), {"cpu": "x", "probe_accuracy": 0.99})
    markdown_path, page_path = write_report(tmp_path, LAYOUTS)
    markdown, page = markdown_path.read_text(), Page(page_path.read_text())

    pictures = sorted(re.findall(r"\]\((figures/[^)]*)\)", markdown))
    assert pictures == [
        "figures/ablation-k-8-of-64-churn.png",
        "figures/ablation-k-8-of-64-fronts.png",
        "figures/table1-averaged-kl-importance.png",
        "figures/table1-averaged-kl-losses.png",
        "figures/table1-averaged-kl-reconstructions.png",
        "figures/table1-averaged-kl-samples.png",
        "figures/table2-trained-to-denoise-noise-0.5.png",
    ]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    assert sum(address.startswith("data:image/png;base64,") for address in page.addresses) == 7
    assert all(address.startswith(("data:", "#")) for address in page.addresses)

    assert set(re.findall(r"^## (.*)$", markdown, re.MULTILINE)) <= set(page.texts)
    assert "not comparable with Inception FID" in markdown
    assert "10,000 images against 16 test images" in markdown
    assert "99.00 % of the clean test images" in markdown
    assert "| train images (floor) |  |  | 1.4 | 1.4 | 1.4 |  |" in markdown
    assert "own\\_metric" in markdown
    assert ("difference to beta-VAE" in markdown) == (len(seeds) > 1)


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
