"""The settings of rows, as far as they differ from the defaults or from one another."""

from collections.abc import Iterable, Mapping
from typing import Any

from vae_topk_jax.config import Config, fields_for
from vae_topk_jax.models.registry import MODELS


def changed_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a row that are not at the defaults of its system, but for the seed.

    The name of the system stays, and so does what is no field of a configuration.

    Examples:
        >>> changed_settings({"model": "top_k_vae", "k": 4, "latent_dim": 64, "samples": 100})
        {'model': 'top_k_vae', 'k': 4, 'samples': 100}
    """
    at_default = {"seed"}
    if config.get("model") in MODELS:
        fields = {n: x for n, x in config.items() if n in fields_for(config["model"])}
        at_default |= fields.keys() - Config(config["model"], **fields).changed().keys()
    return {name: value for name, value in config.items() if name not in at_default}


def shared_settings(settings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The settings that all have, with the same values.

    Examples:
        >>> shared_settings([{"k": 4, "beta": 1.0}, {"k": 8, "beta": 1.0}])
        {'beta': 1.0}
    """
    first, *others = settings
    return {
        name: value
        for name, value in first.items()
        if all(name in other and other[name] == value for other in others)
    }


def listed(values: Mapping[str, Any]) -> str:
    """NAME=VALUE of all, in one line."""
    return " ".join(f"{name}={value}" for name, value in values.items())
