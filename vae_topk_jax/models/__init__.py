"""One file per system; each is a linen module with the methods of `System`."""

from vae_topk_jax.models.batch_topk_sae import BatchTopKSAE
from vae_topk_jax.models.beta_tc_vae import BetaTCVAE
from vae_topk_jax.models.factor_vae import FactorVAE
from vae_topk_jax.models.gated_sae import GatedSAE
from vae_topk_jax.models.jump_relu_sae import JumpReLUSAE
from vae_topk_jax.models.ladder_vae import LadderVAE
from vae_topk_jax.models.learned_threshold import LearnedThreshold
from vae_topk_jax.models.matryoshka_sae import MatryoshkaSAE
from vae_topk_jax.models.registry import MODELS
from vae_topk_jax.models.relu_sae import ReLUSAE
from vae_topk_jax.models.sparse_generator import SparseGenerator
from vae_topk_jax.models.system import System
from vae_topk_jax.models.top_k_sae import TopKSAE
from vae_topk_jax.models.top_k_vae import TopKVAE
from vae_topk_jax.models.vae import VAE, BetaVAE
from vae_topk_jax.models.vaease import VAEase
from vae_topk_jax.models.vsc import VSC

__all__ = [
    "MODELS",
    "VAE",
    "VSC",
    "BatchTopKSAE",
    "BetaTCVAE",
    "BetaVAE",
    "FactorVAE",
    "GatedSAE",
    "JumpReLUSAE",
    "LadderVAE",
    "LearnedThreshold",
    "MatryoshkaSAE",
    "ReLUSAE",
    "SparseGenerator",
    "System",
    "TopKSAE",
    "TopKVAE",
    "VAEase",
]
