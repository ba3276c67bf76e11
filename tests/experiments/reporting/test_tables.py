"""Tables of the report."""

from experiments import table2 as command
from experiments.reporting.columns import ACCURACY, QUALITY
from experiments.reporting.tables import (
    difference_table,
    differences,
    measured,
    metric_table,
    to_html,
    to_markdown,
)
from tests.helpers.html_page import Page
from tests.helpers.report_rows import rows_of, table1, table2


def test_a_table_has_means_intervals_and_the_best_in_bold():
    rows = rows_of(table1)
    table = to_markdown(metric_table("title", measured(rows, QUALITY), QUALITY))
    assert table.splitlines()[0] == "**title**"
    assert "| model | PSNR, dB\u00a0↑ | SSIM\u00a0↑ |" in table
    assert "| beta-VAE | **23.93 ± 0.63** | **0.900 ± 0.000** |" in table
    assert r"| Top-K by dimension, mean \|z\| | 18.07 ± 0.63 | 0.700 ± 0.000 |" in table
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
