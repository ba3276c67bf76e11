"""Which models the study of known factors compares."""

from typing import Any

from experiments.factors.presets import Preset
from experiments.study.lineup import BASELINE, DIMENSION, ELEMENT, SAMPLE, dense_title

UNTRAINED = "untrained encoder"


def models(preset: Preset) -> dict[str, dict[str, Any]]:
    """Title -> configuration fields, besides those that all share; the beta-VAE's curve first.

    Examples:
        >>> from experiments.factors.presets import PRESETS
        >>> list(models(PRESETS["tiny"]))[:3]
        ['beta-VAE, beta 0.1', 'beta-VAE, beta 1', 'beta-TC-VAE, beta 0.1, weight 5']
    """
    sparse = {"model": "top_k_vae"}
    rules: dict[str, dict[str, Any]] = {
        DIMENSION: sparse | {"selection": "dimension", "sensitivity_every": 0},
        ELEMENT: sparse | {"selection": "element"},
        SAMPLE: sparse | {"selection": "sample"},
        "VSC": {"model": "vsc", "vsc_prior": "fixed"},
        dense_title(preset.k): {"model": "beta_vae", "latent_dim": preset.k},
    }
    correlated = {"beta-TC-VAE": "beta_tc_vae", "FactorVAE": "factor_vae"}
    found = {of_beta(BASELINE, beta): _at(beta, model="beta_vae") for beta in preset.betas}
    for title, model in correlated.items():
        for beta in preset.few_betas:
            for weight in preset.weights:
                fields = _at(beta, model=model, tc_weight=weight)
                found[f"{of_beta(title, beta)}, weight {weight:g}"] = fields
    for title, rule in rules.items():
        for beta in preset.few_betas:
            found[of_beta(title, beta)] = _at(beta, **rule)
    return found | {"VAEase": {"model": "vaease"}}


def of_beta(title: str, beta: float) -> str:
    """The title of a model at that beta."""
    return f"{title}, beta {beta:g}"


def _at(beta: float, **fields: Any) -> dict[str, Any]:
    return {**fields, "beta": beta}
