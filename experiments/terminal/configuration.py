"""The configuration on a command line: the fields of the chosen system, and those of training."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, TypeVar

import tyro

from vae_topk_jax.config import Config, Training
from vae_topk_jax.fields import Field, fields_of, help_of
from vae_topk_jax.models.registry import MODELS, find_model, owners, settings_of
from vae_topk_jax.retired import FIELDS, refuse_retired

Options = TypeVar("Options")
FIELD = "config"


def has_configuration(target: Any) -> bool:
    """Whether the options are a dataclass with a `config: Config`.

    Examples:
        >>> has_configuration(Config)
        False
    """
    if not dataclasses.is_dataclass(target):
        return False
    return any(field.name == FIELD and field.type is Config for field in dataclasses.fields(target))


def flags_of(target: type[Options], words: Sequence[str], default: Options | None) -> Any:
    """What `target` looks like on a command line, as a frozen dataclass with the defaults: in place
    of the configuration, the fields of the system that `--model` names, or of the default's.

    Args:
        target: a dataclass with a `config: Config`.
        words: the command line.
        default: what counts where a flag is not given.

    Raises:
        ValueError: an unknown model, or a flag that belongs to another system or was removed.
    """
    config: Config = getattr(default, FIELD) if default is not None else Config()
    asked = last_value(words, "--model")
    model = config.model if asked is None else asked
    _refuse_foreign(model, words)
    refuse_retired("importance", last_value(words, "--importance"))
    groups = _groups(config if model == config.model else config.replace(model=model))
    fields: list[tuple] = [(FIELD, tyro.conf.Suppress[tyro.conf.Fixed[object]], None)]
    fields += [(name, type(group), group) for name, group in groups.items()]
    flags = dataclasses.make_dataclass(target.__name__, fields, bases=(target,), frozen=True)
    flags.__doc__ = target.__doc__
    return flags(**({} if default is None else _shallow(default) | {FIELD: None}))


def options_from(target: type[Options], parsed: Any) -> Options:
    """The `target` that the parsed flags describe.

    Raises:
        ValueError: a value outside its range.
    """
    given = _shallow(parsed)
    fields = _shallow(given.pop("system")) | _shallow(given.pop("training"))
    return target(**given | {FIELD: Config(**fields)})


def last_value(words: Sequence[str], flag: str) -> str | None:
    """What the last `flag` of a command line is given, which is what counts; None without one.

    Examples:
        >>> last_value(["--k", "4", "--model=vsc", "--k", "8"], "--k")
        '8'
    """
    asked = None
    for word, following in itertools.pairwise([*words, ""]):
        name, _, value = word.partition("=")
        if name == flag:
            asked = value or following
    return asked


def _refuse_foreign(model: str, words: Iterable[str]) -> None:
    own = settings_of(find_model(model))
    for word in words:
        name = word.partition("=")[0].removeprefix("--no-").removeprefix("--").replace("-", "_")
        if word.startswith("--") and name not in own and (name in FIELDS or owners(name)):
            Config(model, **{name: None})


def _groups(config: Config) -> dict[str, Any]:
    """The fields of a configuration as two groups of flags, with its values as defaults."""
    model = Field("model", Literal[tuple(MODELS)], config.model)
    system = {"model": model, **settings_of(type(config.system))}
    helps = {"model": "Which system; the other flags here are its own."}
    helps |= help_of(type(config.system))
    return {
        "system": _flags(config, system, helps, f"The fields of {config.model}."),
        "training": _flags(config, fields_of(Training), help_of(Training), Training.__doc__),
    }


def _flags(config: Config, fields: dict[str, Field], helps: dict[str, str], text: str | None):
    made = [
        (name, Annotated[field.kind, tyro.conf.arg(help=helps[name])], getattr(config, name))
        for name, field in fields.items()
    ]
    group = dataclasses.make_dataclass("Fields", made, frozen=True)
    group.__doc__ = text
    return group()


def _shallow(instance: Any) -> dict[str, Any]:
    return {field.name: getattr(instance, field.name) for field in dataclasses.fields(instance)}
