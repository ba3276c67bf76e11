"""The options of every command as Markdown, of the very strings that `--help` shows."""

import dataclasses
import importlib
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import docstring_parser
import tyro

from experiments import hub, runs, train
from experiments.gallery import __main__ as gallery
from experiments.reporting.tables import pipe_table
from experiments.study.options import StudyOptions
from experiments.terminal.commands import first_paragraph, modules
from vae_topk_jax.config import Config, Training
from vae_topk_jax.fields import Field, fields_of, help_of
from vae_topk_jax.models.registry import MODELS, settings_of

# Commands that parse something else than the arguments of their `main`.
_PARSED: dict[str, dict[str, type]] = {
    "train": {"": train.Options},
    "gallery.__main__": {"": gallery.Options},
    "runs": {"list": runs.List, "show": runs.Show, "compare": runs.Compare},
    "hub": {"push": hub.Push, "pull": hub.Pull},
}
# Options that many commands share, and where they are explained.
_SHARED = {
    Config: "every field of the [configuration](#the-configuration)",
    StudyOptions: "the [options of a study](#studies)",
}


class Option(NamedTuple):
    """One option of a command.

    Attributes:
        name: with underscores, as in Python.
        values: what it takes.
        default: what counts where it is not given.
        help: one sentence or more.
        is_positional: given without its name.
    """

    name: str
    values: str
    default: str
    help: str
    is_positional: bool = False

    @property
    def flag(self) -> str:
        """As it stands on a command line."""
        return self.name.upper() if self.is_positional else "--" + self.name.replace("_", "-")


def commands() -> dict[str, Callable[..., Any]]:
    """What each command of `experiments` parses its line into, by the words that start it.

    Examples:
        >>> commands()["runs list"] is runs.List
        True
    """
    found: dict[str, Callable[..., Any]] = {}
    for name in modules():
        module = importlib.import_module(f"experiments.{name}")
        for word, target in _PARSED.get(name, {"": module.main}).items():
            found[f"{name.removesuffix('.__main__')} {word}".strip()] = target
    return found


def options(target: Callable[..., Any]) -> tuple[list[Option], list[type]]:
    """The options of a dataclass or of a function, and which shared ones it takes besides.

    Examples:
        >>> options(StudyOptions)[0][-1].flag
        '--test-latent'
    """
    helps = {
        param.arg_name: " ".join((param.description or "").split())
        for param in docstring_parser.parse_from_object(target).params
    }
    hints = typing.get_type_hints(target, include_extras=True)
    found: list[Option] = []
    shared: list[type] = []
    for name, parameter in inspect.signature(target).parameters.items():
        hint, is_positional = hints[name], False
        if typing.get_origin(hint) is Annotated:
            hint, *marks = typing.get_args(hint)
            is_positional = tyro.conf.Positional in marks
        if hint in _SHARED:
            shared.append(hint)
        elif dataclasses.is_dataclass(hint):
            found += options(typing.cast(type, hint))[0]
        else:
            default = _default(parameter.default)
            found.append(Option(name, _values(hint), default, helps[name], is_positional))
    return found, shared


def _default(value: Any) -> str:
    """What the table shows of a default.

    Examples:
        >>> [_default(value) for value in (None, True, (512, 256), "kl")]
        ['not given', 'yes', '`512 256`', '`kl`']
    """
    if value is inspect.Parameter.empty:
        return "must be given"
    if value is None or value in ("", ()):
        return "not given"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{' '.join(map(str, value)) if isinstance(value, tuple) else value}`"


def _values(hint: Any) -> str:
    """What an option of that type takes, in words.

    Examples:
        >>> [_values(hint) for hint in (bool, int | None, tuple[int, ...], Literal["a", "b"])]
        ['yes or no', 'integer', 'integers', '`a`, `b`']
    """
    items = [item for item in typing.get_args(hint) if item not in (type(None), Ellipsis)]
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return ", ".join(map(_values, items))
    if typing.get_origin(hint) is tuple:
        one = _values(items[0])
        return f"any of {one}" if one.startswith("`") else f"{one}s"
    if typing.get_origin(hint) is Literal:
        return ", ".join(f"`{item}`" for item in items)
    return {bool: "yes or no", int: "integer", float: "number", str: "text", Path: "path"}[hint]


def configuration() -> str:
    """The table of the fields of `Config`, with the systems that have each."""
    rows: dict[Option, list[str]] = {}
    for model, system in MODELS.items():
        for option in _fields(settings_of(system), help_of(system)):
            rows.setdefault(option, []).append(model)
    lines = [["field", "system", "values", "default", "what it does"], ["---"] * 5]
    for option, models in rows.items():
        of = "every" if len(models) == len(MODELS) else ", ".join(f"`{model}`" for model in models)
        lines.append([f"`{option.name}`", of, option.values, option.default, option.help])
    return pipe_table(lines)


def training() -> str:
    """The table of the fields that every system is trained with."""
    found = _fields(fields_of(Training), help_of(Training))
    return _table("field", ((option.name, option) for option in found))


def _fields(fields: Mapping[str, Field], helps: Mapping[str, str]) -> Iterator[Option]:
    for name, field in fields.items():
        yield Option(name, _values(field.kind), _default(field.default), helps[name])


def study() -> str:
    """The table of the options that studies share."""
    return _flags(options(StudyOptions)[0])


def every_command() -> str:
    """A heading, a sentence and a table for each command."""
    return "\n".join(_section(name, target) for name, target in commands().items())


def _section(name: str, target: Callable[..., Any]) -> str:
    own, shared = options(target)
    words = first_paragraph(target.__doc__)
    if shared:
        words += f" Takes {' and '.join(_SHARED[kind] for kind in shared)}"
        words += ", and:" if own else "."
    return f"### {name}\n{words}\n" + (f"\n{_flags(own)}" if own else "")


def _flags(found: Iterable[Option]) -> str:
    return _table("option", ((option.flag, option) for option in found))


def _table(corner: str, found: Iterable[tuple[str, Option]]) -> str:
    lines = [[corner, "values", "default", "what it does"], ["---"] * 4]
    for name, option in found:
        help_ = option.help[:1].upper() + option.help[1:]
        lines.append([f"`{name}`", option.values, option.default, help_])
    return pipe_table(lines)


TABLES: Mapping[str, Callable[[], str]] = {
    "configuration": configuration,
    "training": training,
    "study": study,
    "commands": every_command,
}
