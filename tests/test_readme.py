"""Every Python block of the README runs, in order, beside a model trained as it says; the tables of
the pages are those of the committed results; links lead somewhere."""

import re
from pathlib import Path

import jax
import pytest

from experiments import pages, train

README = Path(__file__).parents[1] / "README.md"


def test_python_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train.main(["--data", "embedded", "--out", "runs/model", "--epochs", "1", "--widths", "16"])
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        names: dict = {}
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            exec(block, names)
    assert names["codes"].shape == (16, 64)
    assert names["samples"].shape == (16, 28, 28, 1)


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.name)
def test_tables_are_those_of_the_results(page):
    text = page.read_text(encoding="utf-8")
    assert "<!-- results" in text
    assert pages.rewrite(text) == text


def test_an_unknown_table_is_refused():
    with pytest.raises(ValueError, match="'table9'"):
        pages.rewrite("<!-- results table9 -->\n<!-- end -->")


LINKS = [
    (page, target)
    for page in pages.PAGES
    for target in re.findall(r"\]\(([^)#:]+)", page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_linked_files_exist(page, target):
    assert (page.parent / target).exists()
