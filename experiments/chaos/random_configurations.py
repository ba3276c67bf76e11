"""Configurations and command lines of any kind, made by hypothesis (extra "test")."""

import contextlib
import io
import itertools
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin
from unittest import mock

import jax
import jax.numpy as jnp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments import train
from experiments.chaos.small_run import SHAPE, require, small_run, temporary_folder, write_images
from vae_topk_jax.checkpoint import restore_checkpoint, save_checkpoint
from vae_topk_jax.config import Config, fields_for
from vae_topk_jax.fields import Field
from vae_topk_jax.models import MODELS
from vae_topk_jax.training import Trainer

_FIELDS: dict[str, Field] = {
    name: field for model in MODELS for name, field in fields_for(model).items()
}
_OPTIONS = ("save_every", "segment", "keep", "patience", "depth")
_NUMBERS = st.integers() | st.sampled_from([-1, 0, 2**31 - 1, 2**31, 10**400]) | st.floats()
_WILD = st.one_of(
    _NUMBERS,
    st.none(),
    st.booleans(),
    st.text(max_size=5),
    st.lists(_NUMBERS, max_size=3),
    st.lists(_NUMBERS, max_size=3).map(tuple),
    st.dictionaries(st.text(max_size=2), _NUMBERS, max_size=1),
)
_WORDS = st.one_of(
    st.sampled_from(["", "-1", "0", "nan", "inf", "1e400", "2147483648", "None", "--", "a b"]),
    st.text(max_size=8),
)
_TINY = {"epochs": "1", "batch_size": "32", "widths": "8", "latent_dim": "4", "k": "2"}
_TINY |= {"levels": "1 3", "level_k": "1 2"}


def tried(strategy: st.SearchStrategy, outcome: Callable[[Any], str], trials: int) -> Counter[str]:
    """How often each outcome was that of an example of the strategy."""
    outcomes: Counter[str] = Counter()

    @settings(
        max_examples=trials,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(strategy)
    def check(example: Any) -> None:
        outcomes[outcome(example)] += 1

    check()
    return outcomes


def configurations(trials: int) -> str:
    """Half of them configurations, half command lines, one in a hundred a run to its end."""
    runs = max(1, trials // 100)
    lines = max(1, trials // 2 - runs)
    with temporary_folder() as path, contextlib.chdir(path):
        write_images(path / "data", train=64)
        save_checkpoint("run/checkpoints", *small_run()[1:])
        with mock.patch("vae_topk_jax.runs.fit.sole_writer", _stop):
            said = tried(_lines(), _outcome_of_line, lines)
        ended = tried(_runs(), _outcome_of_run, runs)
    made = tried(_configurations(), _outcome_of_configuration, max(1, trials - runs - lines))
    return "; ".join(
        f"{name}: {', '.join(f'{count} {outcome}' for outcome, count in sorted(outcomes.items()))}"
        for name, outcomes in (("values", made), ("command lines", said), ("runs", ended))
    )


def _fitting(name: str) -> st.SearchStrategy:
    """Values of the right type, most of them in range."""
    kind = _FIELDS[name].kind
    if get_origin(kind) is tuple:
        return st.lists(st.integers(1, 64), min_size=1, max_size=3).map(tuple)
    simple = {bool: st.booleans(), int: st.integers(1, 64), float: st.floats(0, 1)}
    return simple[kind] if kind in simple else st.sampled_from(get_args(kind))


def _configurations() -> st.SearchStrategy[dict[str, Any]]:
    def values(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries({n: _fitting(n) | _fitting(n) | _WILD for n in names})

    def of_model(model: str) -> st.SearchStrategy[dict[str, Any]]:
        own, any_names = st.sampled_from([*fields_for(model)]), st.sampled_from([*_FIELDS])
        names = st.lists(own | own | own | any_names, max_size=4, unique=True)
        return names.flatmap(values).map(lambda fields: {"model": model} | fields)

    return st.sampled_from([*MODELS]).flatmap(of_model)


def _outcome_of_configuration(values: dict[str, Any]) -> str:
    try:
        config = Config(**values)
        require(Config.from_json(config.to_json()) == config, f"{values}: not itself again")
        if len(values) == 2:  # tracing takes its time
            _trace(config)
    except ValueError as error:
        require("\n" not in str(error), f"{values}: several lines")
        require(any(name in str(error) for name in (*values, "scores")), f"{values}: {error}")
        return "refused in one line that names the field"
    return "valid"


def _trace(config: Config) -> None:
    """All of a step but its numbers."""
    trainer = Trainer(config, SHAPE, 2 * config.batch_size)
    images = jax.ShapeDtypeStruct((config.batch_size, *SHAPE), jnp.float32)
    jax.eval_shape(trainer.train_step, trainer.abstract_state(), images)


def _flag(name: str) -> st.SearchStrategy[list[str]]:
    """A flag with a value that fits."""
    flag = name.replace("_", "-")
    if _FIELDS[name].kind is bool:
        return st.sampled_from([[f"--{flag}"], [f"--no-{flag}"]])
    return _fitting(name).map(lambda v: [f"--{flag}", *map(str, v if type(v) is tuple else [v])])


def _lines() -> st.SearchStrategy[list[str]]:
    """Command lines of `experiments.train`, with flags that fit, do not, or do not exist."""
    known = st.sampled_from([f"--{name.replace('_', '-')}" for name in (*_FIELDS, *_OPTIONS)])
    paths = st.sampled_from(["data", "run", "run/checkpoints", "new", "data/none", "\0"])
    words = st.one_of(
        st.one_of([_flag(name) for name in _FIELDS]),
        st.tuples(known, _WORDS),
        st.tuples(known),
        st.tuples(st.sampled_from(["--data", "--out", "--inputs"]), paths),
        st.sampled_from([["--resume"], ["--resume", "--out", "run"], ["--help"]]),
        st.tuples(_WORDS),
        st.tuples(_WORDS.map("--{}".format)),
    )
    start = ["--data", "data", "--out", "new", "--batch-size", "32"]
    chosen = st.lists(words, min_size=1, max_size=4)
    return chosen.map(lambda words: [*start, *itertools.chain(*words)])


def _runs() -> st.SearchStrategy[list[str]]:
    """Command lines of small runs."""

    def of_model(model: str) -> st.SearchStrategy[list[str]]:
        own = fields_for(model)
        tiny = {name: value for name, value in _TINY.items() if name in own}
        free = st.sampled_from([name for name in own if name not in tiny and name != "seed"])
        start = ["--data", "data", "--out", "trained", "--model", model]
        for name, value in tiny.items():
            start += [f"--{name.replace('_', '-')}", *value.split()]
        flags = st.lists(free.flatmap(_flag), max_size=3)
        return flags.map(lambda flags: [*start, *itertools.chain(*flags)])

    return st.sampled_from(sorted(MODELS)).flatmap(of_model)


def _outcome_of_run(args: list[str]) -> str:
    shutil.rmtree("trained", ignore_errors=True)
    outcome = _outcome_of_line(args)
    if outcome == "valid":
        restore_checkpoint("trained/checkpoints")
    return outcome


def _outcome_of_line(args: list[str]) -> str:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            train.main(args)
    except _ReachedError:
        return "valid"
    except SystemExit as stop:
        if stop.code in (None, 0):
            return "help"
        lines = said.getvalue().splitlines()
        require(stop.code == 2 and len(lines) == 1, f"{args}: {stop.code}, {lines}")
        require(len(lines[0]) > len("error: "), f"{args}: no reason given")
        return "refused in one line"
    return "valid"


class _ReachedError(Exception):
    """A command line with which training would have begun."""


def _stop(path: Path) -> NoReturn:
    raise _ReachedError
