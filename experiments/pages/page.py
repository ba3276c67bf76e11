"""Pages, and what is generated in them.

A table of results stands between `<!-- results NAME -->` and `<!-- end -->`, NAME a key of
`TABLES`; other text between `<!-- generated NAME -->` and `<!-- end -->`, NAME a key of `TEXTS`.
"""

import inspect
import json
import re
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import vae_topk_jax
from experiments.bench.targets import targets
from experiments.pages import command_options as flags
from experiments.pages import known_factors, known_features, korean, learned_priors, paper, speed
from experiments.pages.table import RESULTS, ROOT, rows_of
from experiments.reporting.tables import pipe_table
from experiments.terminal.commands import first_paragraph

ENGLISH, KOREAN = ROOT / "README.md", ROOT / "README.ko.md"
_NAMES = (
    *("accelerators", "api", "choosing", "factors", "generative", "method", "options"),
    *("performance", "reproduce", "runs", "scaling", "synth", "systems", "troubleshooting"),
)
PAGES = (ENGLISH, KOREAN, *(ROOT / "docs" / f"{name}.md" for name in _NAMES))
TABLES = {
    **paper.TABLES,
    **speed.TABLES,
    **known_features.TABLES,
    **known_factors.TABLES,
    **learned_priors.TABLES,
}
_PLACE = re.compile(r"(<!-- (?:results|generated) ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rewrite(page: str, words: Mapping[str, str] = types.MappingProxyType({})) -> str:
    """The page with its tables as the committed results, the commands and the package have them.

    Args:
        page: its text.
        words: what stands in place of a cell of a table of results.

    Raises:
        ValueError: a table that is not known.
    """

    def text(place: re.Match) -> str:
        if place[2] in TABLES:
            return f"{place[1]}{TABLES[place[2]].markdown(words)}{place[3]}"
        if place[2] in TEXTS:
            return f"{place[1]}{TEXTS[place[2]]()}{place[3]}"
        raise ValueError(f"a table must be one of {sorted([*TABLES, *TEXTS])}, got {place[2]!r}")

    return _PLACE.sub(text, page)


def words_of(page: Path) -> Mapping[str, str]:
    """What the tables of that page are translated with."""
    return korean.WORDS if page == KOREAN else {}


def names() -> str:
    """The public names, each with its page and the first line of its documentation."""
    lines = [["name", "what it is"], ["---", "---"]]
    for name in vae_topk_jax.__all__:
        value = getattr(vae_topk_jax, name)
        if not isinstance(value, types.ModuleType):
            lines.append(_name(name, value))
            continue
        for function in vars(value).values():
            if (
                inspect.isfunction(function)
                and function.__module__ == value.__name__
                and not function.__name__.startswith("_")
            ):
                lines.append(_name(f"{name}.{function.__name__}", function))
    return pipe_table(lines)


def _name(name: str, value: Any) -> list[str]:
    page = value.__module__.rpartition(".")[2]
    return [f"[`{name}`](api/{page}.md)", first_paragraph(value.__doc__)]


def chaos() -> str:
    """The faults that `experiments.chaos` tried, how often, and what came of them."""
    rows = json.loads((RESULTS / "chaos" / "chaos.json").read_text(encoding="utf-8"))["rows"]
    lines = [["fault", "tried", "outcome"], ["---", "---:", "---"]]
    lines += [[row["what"], f"{row['trials']:,}", row["outcome"]] for row in rows]
    return pipe_table(lines)


TEXTS: Mapping[str, Callable[[], str]] = {
    **flags.TABLES,
    **known_factors.TEXTS,
    "chaos": chaos,
    "names": names,
    "targets": lambda: targets(rows_of("bench")),
}
