"""Writes the tables of the READMEs and of the documentation: results that are committed, options of
the commands, public names.

    python -m experiments.pages
"""

from experiments.pages.page import PAGES, rewrite, words_of
from experiments.terminal import cli


def main() -> None:
    """Writes the tables of all pages."""
    for page in PAGES:
        text = rewrite(page.read_text(encoding="utf-8"), words_of(page))
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    cli.run(main)
