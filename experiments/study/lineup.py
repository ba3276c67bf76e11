"""Which models stand in the tables."""

from typing import Any

LATENT_DIM, K = 64, 8  # of every table but Table 2
BASELINE = "beta-VAE"
MEAN_ABS_Z = "Top-K by dimension, mean |z|"  # the paper's importance
DIMENSION = "Top-K by dimension"
ELEMENT = "Top-K by element"
SAMPLE = "Top-K per sample"
ANNEALED = "Top-K per sample, K annealed"
SLOT = "Top-K by slot"
FIXED = "fixed random mask"

# What `experiments.supports` chose on validation images.
SLOT_FIELDS: dict[str, Any] = {"selection": "slot", "mask_input": True, "kl_inactive": 0.0}

# A larger body, with the epochs that it wants.
LARGE: dict[str, Any] = {"widths": (1024, 512), "epochs": 16}

# The dense VAE of the textbook: beta is 1, and every term is a sum, in nats.
TEXTBOOK: dict[str, Any] = {
    "model": "vae",
    "likelihood": "bernoulli",
    "pixel_reduction": "sum",
    "latent_reduction": "sum",
}


def trained_models(latent_dim: int, k: int) -> dict[str, dict[str, Any]]:
    """Title -> configuration fields of the trained models of a table, beta-VAE first.

    Examples:
        >>> trained_models(64, 8)["dense VAE, 8 latents"]
        {'model': 'beta_vae', 'latent_dim': 8}
    """
    dense = {"model": "beta_vae", "latent_dim": latent_dim}
    sparse = {"model": "top_k_vae", "latent_dim": latent_dim, "k": k}
    by_dimension = sparse | {"selection": "dimension", "sensitivity_every": 0}
    return {
        BASELINE: dense,
        MEAN_ABS_Z: by_dimension | {"importance": "mean_abs_z"},
        DIMENSION: by_dimension | {"importance": "kl"},
        ELEMENT: sparse | {"selection": "element"},
        SAMPLE: sparse | {"selection": "sample"},
        SLOT: sparse | SLOT_FIELDS,
        FIXED: by_dimension | {"importance": "fixed"},
        dense_title(k): dense | {"latent_dim": k},
    }


LIKELIHOOD = ", by likelihood"


def by_likelihood(title: str) -> str:
    """The title of a model's row whose codes are sought by likelihood.

    Examples:
        >>> by_likelihood("beta-VAE")
        'beta-VAE, by likelihood'
    """
    return title + LIKELIHOOD


def dense_title(latents: int) -> str:
    """The title of the row of a dense VAE with so many latents."""
    return f"dense VAE, {latents} latents"


def pca_title(components: int) -> str:
    """The title of a PCA row."""
    return f"PCA, {components} components"
