"""Which modules of `experiments` are commands."""

import ast
from collections.abc import Iterator
from pathlib import Path

import experiments

# What a module has that is a command, and not a process that a command starts.
_GUARD, _PARSER = '\nif __name__ == "__main__"', "\nfrom experiments.terminal import cli\n"


def modules() -> Iterator[str]:
    """Their names in `experiments`, sorted.

    Examples:
        >>> {"train", "bench.__main__"} <= set(modules())
        True
    """
    for name, _ in _sources():
        yield name


def commands() -> dict[str, str]:
    """What starts each command, and the first sentence about it; nothing is imported.

    Examples:
        >>> commands()["train"]
        'Trains one model and keeps its checkpoints.'
    """
    return {
        name.removesuffix(".__main__"): first_paragraph(ast.get_docstring(ast.parse(text)))
        for name, text in _sources()
    }


def _sources() -> Iterator[tuple[str, str]]:
    root = Path(experiments.__path__[0])
    for file in sorted(root.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if _GUARD in text and _PARSER in text:
            yield ".".join(file.relative_to(root).with_suffix("").parts), text


def first_paragraph(docstring: str | None) -> str:
    """The summary of a docstring as one line.

    Examples:
        >>> first_paragraph("Fits priors,\\n    of each class.\\n\\n    Args: none")
        'Fits priors, of each class.'
    """
    return " ".join((docstring or "").strip().partition("\n\n")[0].split())
