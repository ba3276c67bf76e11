"""Which systems there are, and which settings are whose."""

from vae_topk_jax.fields import Field, fields_of
from vae_topk_jax.models.batch_topk_sae import BatchTopKSAE
from vae_topk_jax.models.beta_tc_vae import BetaTCVAE
from vae_topk_jax.models.factor_vae import FactorVAE
from vae_topk_jax.models.gated_sae import GatedSAE
from vae_topk_jax.models.jump_relu_sae import JumpReLUSAE
from vae_topk_jax.models.ladder_vae import LadderVAE
from vae_topk_jax.models.learned_threshold import LearnedThreshold
from vae_topk_jax.models.matryoshka_sae import MatryoshkaSAE
from vae_topk_jax.models.relu_sae import ReLUSAE
from vae_topk_jax.models.sparse_generator import SparseGenerator
from vae_topk_jax.models.system import System
from vae_topk_jax.models.top_k_sae import TopKSAE
from vae_topk_jax.models.top_k_vae import TopKVAE
from vae_topk_jax.models.vae import VAE, BetaVAE
from vae_topk_jax.models.vaease import VAEase
from vae_topk_jax.models.vsc import VSC

MODELS: dict[str, type[System]] = {
    "vae": VAE,
    "beta_vae": BetaVAE,
    "top_k_vae": TopKVAE,
    "batch_topk_sae": BatchTopKSAE,
    "top_k_sae": TopKSAE,
    "matryoshka_sae": MatryoshkaSAE,
    "jump_relu_sae": JumpReLUSAE,
    "gated_sae": GatedSAE,
    "relu_sae": ReLUSAE,
    "vaease": VAEase,
    "ladder_vae": LadderVAE,
    "beta_tc_vae": BetaTCVAE,
    "factor_vae": FactorVAE,
    "vsc": VSC,
    "learned_threshold": LearnedThreshold,
    "sparse_generator": SparseGenerator,
}


def find_model(name: str) -> type[System]:
    """The system of that name.

    Raises:
        ValueError: there is none.

    Examples:
        >>> find_model("vsc").__name__
        'VSC'
    """
    if not isinstance(name, str) or name not in MODELS:
        raise ValueError(f"model must be one of {sorted(MODELS)}, got {name!r}")
    return MODELS[name]


def name_of(system: System) -> str:
    """The name under which the class of a system is registered.

    Raises:
        ValueError: it is not.

    Examples:
        >>> name_of(VSC())
        'vsc'
    """
    for name, model in MODELS.items():
        if type(system) is model:
            return name
    raise ValueError(
        f"model must be of a class in vae_topk_jax.models.MODELS, got {type(system).__name__}: "
        "enter it there under a name of its own"
    )


def settings_of(model: type[System]) -> dict[str, Field]:
    """The fields of a system that a configuration may set: all but those that it fixes.

    Examples:
        >>> "beta" in settings_of(BetaVAE), "beta" in settings_of(VAE)
        (True, False)
    """
    return {name: field for name, field in fields_of(model).items() if name not in model.fixed}


def owners(field: str) -> list[str]:
    """The names of the systems that have a setting.

    Examples:
        >>> owners("nested")
        ['top_k_vae']
    """
    return [name for name, model in MODELS.items() if field in settings_of(model)]
