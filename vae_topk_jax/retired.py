"""What configurations no longer have: since when, and why."""

from typing import Any, NamedTuple

LAST_VERSION = "0.1.0"
MODEL = "top_k_vae"  # the only one that these fields changed


class Retired(NamedTuple):
    """A field that was removed.

    Attributes:
        neutral: the value at which it did nothing.
        why: what was measured (experiments/results/ablation, docs/method.md).
    """

    neutral: Any
    why: str


FIELDS = {
    "straight_through": Retired(False, "it lost 1 to 4 dB in the ablation"),
    "freeze_after": Retired(1.0, "it changed nothing in the ablation"),
    "hysteresis": Retired(0.0, "it changed nothing in the ablation"),
    "revival": Retired(0.0, "it lost 0.2 to 0.4 dB in the ablation"),
    "kl_mode": Retired("gaussian", "spike_and_slab was no better than the default in the ablation"),
}
IMPORTANCES = {
    "mean_square_z": "mean_abs_z ranks by the same literal rule",
    "max_abs_z": "mean_abs_z ranks by the same literal rule",
    "var_mu": "mean_abs_mu and kl rank by the same information",
}


def had_no_effect(name: str, value: Any, model: str) -> bool:
    """Whether it is a removed field that did nothing in a model: another one than the Top-K VAE, or
    at its neutral value.

    Examples:
        >>> had_no_effect("hysteresis", 0.0, "top_k_vae"), had_no_effect("hysteresis", 0.1, "vae")
        (True, True)
        >>> had_no_effect("hysteresis", 0.1, "top_k_vae"), had_no_effect("k", 8, "vae")
        (False, False)
    """
    return name in FIELDS and bool(model != MODEL or value == FIELDS[name].neutral)


def refuse_retired(name: str, value: Any) -> None:
    """Refuses a field, or the name of an importance, that was removed.

    Raises:
        ValueError: says why, and which version is the last that has it.

    Examples:
        >>> refuse_retired("hysteresis", 0.1)
        Traceback (most recent call last):
        ValueError: hysteresis was removed after version 0.1.0: it changed nothing in the ablation
    """
    if name in FIELDS:
        raise ValueError(f"{name} was removed after version {LAST_VERSION}: {FIELDS[name].why}")
    if name == "importance" and isinstance(value, str) and value in IMPORTANCES:
        why = IMPORTANCES[value]
        raise ValueError(f"importance {value!r} was removed after version {LAST_VERSION}: {why}")
