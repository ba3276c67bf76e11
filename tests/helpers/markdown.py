"""What stands on a page: code, command lines, headings, links."""

import re
import shlex
from pathlib import Path

import jax

ROOT = Path(__file__).parents[2]
README, KOREAN = ROOT / "README.md", ROOT / "README.ko.md"
PAGES = (
    *(README, KOREAN, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"),
    *sorted((ROOT / "docs").glob("*.md")),
)
_FENCED = re.compile(r"^```(\w*).*?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"python -m (experiments[\w.]*)(.*)")
_END = ("&&", "&", "|", ";")


def read(page: Path) -> str:
    """The page's text."""
    return page.read_text(encoding="utf-8")


def python_blocks(page: Path) -> list[str]:
    """Its blocks of Python, in order."""
    return [code for language, code in _FENCED.findall(read(page)) if language == "python"]


def run_python(page: Path) -> dict:
    """Runs them one after the other, each with the names of those before; returns the names."""
    names: dict = {}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for block in python_blocks(page):
            exec(compile(block, str(page), "exec"), names)
    return names


def command_lines(page: Path) -> list[tuple[str, ...]]:
    """Every `python -m experiments...` in code of any kind: the module and its arguments."""
    text = read(page)
    fenced = [line for _, code in _FENCED.findall(text) for line in code.splitlines()]
    rest = _FENCED.sub("", text)
    indented = re.findall(r"^    (.*)", rest, re.MULTILINE)
    inline = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", rest)]
    lines = []
    for found in map(_COMMAND.search, (*fenced, *indented, *inline)):
        if found:
            words = shlex.split(found[2], comments=True)
            last = next((i for i, word in enumerate(words) if word in _END), len(words))
            lines.append((found[1], *words[:last]))
    return lines


def anchors(page: Path) -> list[str]:
    """What its headings are called in links, as GitHub has it."""
    text = _FENCED.sub("", read(page))
    titles = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


def links(page: Path) -> list[str]:
    """Targets of its links and pictures within the repository."""
    found = re.findall(r'(?:\]\(|src=")([^)\s"]+)[)"]', _FENCED.sub("", read(page)))
    return [target for target in found if not re.match(r"https?:", target)]
