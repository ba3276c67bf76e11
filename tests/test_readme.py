"""The tables of the pages are those of the committed results, of the commands and of the package;
the Korean README says what the English one says."""

import re

import pytest

from experiments.pages import korean
from experiments.pages import page as pages
from tests.helpers import markdown
from tests.helpers.markdown import KOREAN, README


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.name)
def test_tables_are_current(page):
    text = markdown.read(page)
    assert re.search("<!-- (results|generated)", text)
    assert pages.rewrite(text, pages.words_of(page)) == text, "run python -m experiments.pages"


@pytest.mark.parametrize("page", markdown.PAGES, ids=lambda page: page.name)
def test_no_page_with_tables_is_forgotten(page):
    assert (page in pages.PAGES) == bool(re.search("<!-- (results|generated)", markdown.read(page)))


@pytest.mark.parametrize("kind", ["results", "generated"])
def test_an_unknown_table_is_refused(kind):
    with pytest.raises(ValueError, match="'table9'"):
        pages.rewrite(f"<!-- {kind} table9 -->\n<!-- end -->")


def test_korean_and_english_are_in_step():
    english, korean = map(outline, (README, KOREAN))
    assert korean == english


def outline(page) -> dict:
    """What does not depend on the language."""
    text = markdown.read(page)
    return {
        "headings": re.findall("^#+", re.sub("```.*?```", "", text, flags=re.DOTALL), re.MULTILINE),
        "tables": re.findall("<!-- results (.*) -->", text),
        "figures": re.findall(r"\d+\.\d+", "".join(re.findall(r"^\|(?!.*---).*", text, re.M))),
        "code": [re.sub("#.*", "#", block) for block in markdown.python_blocks(page)],
        "commands": markdown.command_lines(page),
        "links": sorted({*markdown.links(page)} - {"README.md", "README.ko.md"}),
    }


def test_no_translation_is_left_over():
    cells = {
        cell.strip().replace("\\|", "|")
        for line in markdown.read(README).splitlines()
        for cell in re.split(r"(?<!\\)\|", line)
    }
    assert korean.WORDS.keys() <= cells
