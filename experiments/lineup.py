"""Which models stand in the tables."""

from typing import Any

LITERAL = "Top-K, literal mean |z|"
DEFAULT = "Top-K, default"


def trained_models(latent_dim: int, k: int) -> dict[str, dict[str, Any]]:
    """Title -> configuration fields of the trained models of a table, beta-VAE first.

    Examples:
        >>> trained_models(64, 8)["dense VAE, 8 latents"]
        {'model': 'beta_vae', 'latent_dim': 8, 'k': 8}
    """
    top_k = {"model": "top_k_vae", "latent_dim": latent_dim, "k": k}
    return {
        "beta-VAE": {"model": "beta_vae", "latent_dim": latent_dim, "k": k},
        LITERAL: top_k | {"importance": "mean_abs_z"},
        DEFAULT: top_k,
        f"dense VAE, {k} latents": {"model": "beta_vae", "latent_dim": k, "k": k},
    }


def pca_title(components: int) -> str:
    """The title of a PCA row."""
    return f"PCA, {components} components"
