"""Which priors can be fitted, and by which name."""

import inspect
from collections.abc import Mapping
from typing import Any

from vae_topk_jax.priors.autoregressive import Autoregressive
from vae_topk_jax.priors.flow import Flow
from vae_topk_jax.priors.mixture import Mixture
from vae_topk_jax.priors.patterns import Patterns
from vae_topk_jax.priors.prior import Examples, Prior
from vae_topk_jax.priors.supports import slots_of
from vae_topk_jax.priors.two_stage import TwoStage
from vae_topk_jax.priors.vamp import Vamp

OWN = "frequency"  # the system's own prior, which is fitted to nothing
PRIORS: dict[str, type[Prior]] = {
    "patterns": Patterns,
    "mixture": Mixture,
    "vamp": Vamp,
    "two_stage": TwoStage,
    "flow": Flow,
    "autoregressive": Autoregressive,
}


def find_prior(name: str) -> type[Prior]:
    """The class of that name.

    Raises:
        ValueError: there is none.

    Examples:
        >>> find_prior("flow").__name__
        'Flow'
        >>> find_prior("frequency")
        Traceback (most recent call last):
        ValueError: prior must be one of ['autoregressive', 'flow', 'mixture', 'patterns', \
'two_stage', 'vamp'], got 'frequency'
    """
    if not isinstance(name, str) or name not in PRIORS:
        raise ValueError(f"prior must be one of {sorted(PRIORS)}, got {name!r}")
    return PRIORS[name]


def suited_to(examples: Examples) -> str:
    """The prior that generates best from latents like these (docs/generative.md).

    Examples:
        >>> suited_to(Examples.of([[1.0, 0.0], [0.0, 2.0]])), suited_to(Examples.of([[1.0], [2.0]]))
        ('autoregressive', 'flow')
    """
    slots, latents = slots_of(examples.latents_NxD != 0), examples.latents_NxD.shape[1]
    return "autoregressive" if 0 < slots < latents else "flow"


def name_of(prior: Prior) -> str:
    """The name under which the class of a prior is registered.

    Raises:
        ValueError: it is not.
    """
    for name, known in PRIORS.items():
        if type(prior) is known:
            return name
    raise ValueError(
        f"prior must be of a class in vae_topk_jax.priors.registry.PRIORS, "
        f"got {type(prior).__name__}: enter it there under a name of its own"
    )


def settings_of(name: str) -> dict[str, Any]:
    """The settings that a prior is fitted with, and their defaults.

    Examples:
        >>> settings_of("vamp")
        {'pseudo_codes': 1000, 'rounds': 20}
    """
    parameters = inspect.signature(find_prior(name).fit).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def check_settings(name: str, settings: Mapping[str, Any]) -> None:
    """Refuses settings that a prior does not have.

    Raises:
        ValueError: no prior of that name, a setting that it does not have, or one of another type
            or that is not positive.

    Examples:
        >>> check_settings("flow", {"steps": 0})
        Traceback (most recent call last):
        ValueError: steps must be a positive int, got 0
    """
    known = settings_of(name)
    for setting, value in settings.items():
        if setting not in known:
            raise ValueError(f"{name} has no setting {setting!r}: expected one of {sorted(known)}")
        kind = type(known[setting])
        if type(value) is not kind or value <= 0:
            raise ValueError(f"{setting} must be a positive {kind.__name__}, got {value!r}")
