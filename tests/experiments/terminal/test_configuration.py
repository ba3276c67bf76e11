"""The flags of a configuration: those of the chosen system and of training, and no others."""

import dataclasses
import re
from typing import Any, get_args, get_origin

import pytest

from experiments.terminal import cli
from vae_topk_jax.config import Config, Training, fields_for
from vae_topk_jax.fields import Field, help_of
from vae_topk_jax.models import MODELS, VAE
from vae_topk_jax.objectives import SETTINGS


@dataclasses.dataclass(frozen=True)
class Options:
    """What a command may ask for."""

    config: Config = dataclasses.field(default_factory=Config)
    out: str = "here"
    """Where to."""


SAVED = Options(Config("vsc", k=3, pseudo_inputs=4), "there")


def another_value(field: Field) -> Any:
    """A value that is not the default."""
    if field.kind == tuple[float, ...]:
        return (0.25, 0.5)
    if get_origin(field.kind) is tuple:
        return (8, 4)
    if field.kind is bool:
        return not field.default
    if field.kind in (int, float):
        return (field.default or 1) / 2 if field.kind is float else field.default + 1
    return next(name for name in get_args(field.kind) if name != field.default)


def flags_of(config: Config) -> list[str]:
    words = ["--model", config.model]
    for name, field in fields_for(config.model).items():
        flag, value = name.replace("_", "-"), getattr(config, name)
        if field.kind is bool:
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *map(str, value if isinstance(value, tuple) else [value])]
    return words


@pytest.mark.parametrize("model", MODELS)
def test_help_shows_the_fields_of_the_system_and_of_training_and_no_others(model, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.parse(Options, ["--model", model, "--help"])
    assert not stopped.value.code
    printed = capsys.readouterr().out
    shown = set(re.findall(r"^[│ ] --([a-z][a-z0-9-]*)", printed, re.MULTILINE))
    assert shown == {name.replace("_", "-") for name in ("out", "model", *fields_for(model))}
    text = " ".join(printed.replace("│", " ").split())
    helps = help_of(MODELS[model]) | help_of(Training)
    assert [name for name in fields_for(model) if helps[name] not in text] == []


@pytest.mark.parametrize("model", MODELS)
def test_every_field_is_a_flag(model):
    others = {name: another_value(field) for name, field in fields_for(model).items()}
    exclusive = {"nested": False, "likelihood": "squared_error", "structural": 0.0, "cap": False}
    exclusive |= {name: getattr(VAE, name) for name in SETTINGS}
    exclusive |= {"latent_dim": 12, "attributes": 0}  # the sum of other levels; there are classes
    config = Config(model, **{name: exclusive.get(name, others[name]) for name in others})
    assert config.changed().keys() | {"seed"} | exclusive.keys() >= others.keys()
    assert cli.parse(Options, flags_of(config)) == Options(config)
    alone: list[dict[str, Any]] = [{"structural": 0.1}, {"cap": True}, {"attributes": 3}]
    alone.append({"objective": "rae", "decoder_l2": 0.5})
    of_mmd = {"objective": "info_vae", "info_alpha": 0.5, "mmd_weight": 2.0, "mmd_kernel": "rbf"}
    for fields in ({}, *alone, of_mmd):
        if fields.keys() <= others.keys():
            config = Config(model, **fields)
            assert cli.parse(Options, flags_of(config)) == Options(config)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], Options()),
        (["--out", "there"], Options(out="there")),
        (["--model=vsc", "--k=4"], Options(Config("vsc", k=4))),
        (
            ["--latent_dim", "32", "--no-clip_noise"],
            Options(Config(latent_dim=32, clip_noise=False)),
        ),
        (["--vsc-prior", "fixed", "--model", "vsc"], Options(Config("vsc", vsc_prior="fixed"))),
        (["--model", "vae", "--model", "vsc", "--k", "4"], Options(Config("vsc", k=4))),
        (["--nested", "--selection", "sample"], Options(Config(nested=True, selection="sample"))),
    ],
)
def test_what_is_not_given_has_the_default_of_the_system(words, expected):
    assert cli.parse(Options, words) == expected


@pytest.mark.parametrize(
    ("words", "config"),
    [
        ([], SAVED.config),
        (["--epochs", "2"], SAVED.config.replace(epochs=2)),
        (["--model", "vsc", "--vsc-prior", "fixed"], SAVED.config.replace(vsc_prior="fixed")),
        (["--model", "top_k_vae"], Config(k=3)),
    ],
)
def test_what_is_not_given_is_as_in_the_run_that_goes_on(words, config):
    assert cli.parse(Options, words, default=SAVED) == Options(config, "there")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--model", "vae", "--beta", "2"],
            "^beta is not a field of vae; it belongs to beta_vae, ",
        ),
        (["--vsc-prior=fixed"], "^vsc_prior is not a field of top_k_vae; it belongs to vsc$"),
        (
            ["--model", "vsc", "--no-nested"],
            "^nested is not a field of vsc; it belongs to top_k_vae",
        ),
        (
            ["--model", "vsc", "--hysteresis", "0.1"],
            "^hysteresis was removed after version 0.1.0: ",
        ),
        (["--no-straight-through"], "^straight_through was removed after version 0.1.0: "),
        (["--latent-dims", "3"], r"--latent-dims, 3: did you mean --latent-dim\?$"),
        (["--selction", "sample"], r"--selction, sample: did you mean --selection\?$"),
        (
            ["--importance", "var_ml"],
            r"'var_ml' for argument '--importance'. Expected one of \('mean",
        ),
        (["--model", "gan"], r"^model must be one of \['batch_topk_sae', .*, got 'gan'$"),
        (["--model"], "^model must be one of .*, got ''$"),
        (["--k", "65"], "^k must be at most latent_dim, 64, got 65$"),
        (["--beta", "nan"], "^beta must be finite, got nan$"),
        (["--widths", "--k", "4"], r"^widths must be a tuple of one or more integers, got \(\)$"),
    ],
)
def test_another_flag_or_value_is_refused_by_name(words, message):
    with pytest.raises(ValueError, match=message) as error:
        cli.parse(Options, words)
    assert "\n" not in str(error.value)


def test_a_flag_of_another_system_is_refused_where_a_run_goes_on():
    with pytest.raises(ValueError, match=r"^selection is not a field of vsc; it belongs to top_k"):
        cli.parse(Options, ["--selection", "sample"], default=SAVED)
