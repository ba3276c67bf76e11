"""How codes hold factors of variation that are known, by the measures of the literature."""

from vae_topk_jax.metrics.disentanglement.dci import DCI, completeness, dci, disentanglement
from vae_topk_jax.metrics.disentanglement.information import mig, modularity, mutual_information
from vae_topk_jax.metrics.disentanglement.intervention import beta_vae_score, factor_vae_score
from vae_topk_jax.metrics.disentanglement.separability import explicitness, sap

__all__ = [
    "DCI",
    "beta_vae_score",
    "completeness",
    "dci",
    "disentanglement",
    "explicitness",
    "factor_vae_score",
    "mig",
    "modularity",
    "mutual_information",
    "sap",
]
