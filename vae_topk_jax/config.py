"""The configuration of one training run."""

import dataclasses
import json
import typing
from typing import Any, Literal

from vae_topk_jax.importance import IMPORTANCES
from vae_topk_jax.losses import Likelihood, Reduction


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides the numbers of a run, besides the data.

    Frozen, checked when made, and equal to itself after `Config.from_json(config.to_json())`.

    Raises:
        ValueError: a field outside its range, named with its value.

    Examples:
        >>> config = Config(latent_dim=256, k=4)
        >>> Config.from_json(config.to_json()) == config
        True
    """

    model: Literal["vae", "beta_vae", "top_k_vae"] = "top_k_vae"
    """Which system: "vae" (beta is 1 whatever is said below), "beta_vae" or "top_k_vae"."""
    latent_dim: int = 64
    """D, the number of latent dimensions."""
    k: int = 8
    """How many dimensions pass the mask (top_k_vae)."""
    importance: str = "kl"
    """What ranks the dimensions (top_k_vae): a name in `vae_topk_jax.importance.IMPORTANCES`;
    "mean_abs_z" is the paper's literal rule."""
    ema_decay: float = 0.99
    """Decay of the importance's running average, a step (top_k_vae)."""
    beta: float = 0.001
    """Weight of the KL term (beta_vae, top_k_vae)."""
    beta_warmup: float = 0.5
    """Share of the run over which beta rises linearly from 0. Without it, a KL summed over latents
    switches some of the K dimensions off before they carry anything, for good; 0 for the paper."""
    likelihood: Likelihood = "gaussian"
    """Reconstruction term: squared error, or Bernoulli in nats."""
    pixel_reduction: Reduction = "mean"
    """How the reconstruction term is reduced over pixels."""
    latent_reduction: Reduction = "mean"
    """How the KL term is reduced over latents."""
    body: Literal["mlp", "conv"] = "mlp"
    """Encoder and decoder body."""
    widths: tuple[int, ...] = (512, 256)
    """Widths of the encoder's layers (channels, for "conv"); the decoder mirrors them."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the layers' arithmetic; parameters, statistics and losses stay float32."""
    train_noise: float = 0.0
    """Train to denoise: each input gets Gaussian noise of sigma ~ U(0, train_noise)."""
    clip_noise: bool = True
    """Clip noisy inputs to [0, 1]."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """Optimiser, with optax's defaults beside the learning rate."""
    learning_rate: float = 2e-3
    """Peak learning rate."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning rate over the run: constant, or a cosine to zero."""
    warmup_steps: int = 0
    """Steps of linear warm-up from zero."""
    batch_size: int = 128
    """Images a step."""
    epochs: int = 15
    """Passes over the training images; the last partial batch of a pass is left out."""
    seed: int = 0
    """Decides initial weights, the order of the images and all noise."""

    def __post_init__(self) -> None:
        if isinstance(self.widths, list):
            object.__setattr__(self, "widths", tuple(self.widths))
        for field in dataclasses.fields(self):
            _check_type(field.name, getattr(self, field.name), field.type)
        for name in ("latent_dim", "k", "batch_size", "epochs"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require(
            "k",
            self.k <= self.latent_dim or self.model != "top_k_vae",
            f"at most latent_dim, {self.latent_dim}",
        )
        self._require("importance", self.importance in IMPORTANCES, f"one of {sorted(IMPORTANCES)}")
        self._require("ema_decay", 0 <= self.ema_decay < 1, "in [0, 1)")
        self._require("widths", self.widths and min(self.widths) >= 1, "one or more positive sizes")
        self._require("learning_rate", 0 < self.learning_rate < float("inf"), "positive and finite")
        for name in ("beta", "train_noise"):
            self._require(name, 0 <= getattr(self, name) < float("inf"), "finite, at least 0")
        self._require("beta_warmup", 0 <= self.beta_warmup <= 1, "in [0, 1]")
        for name in ("warmup_steps", "seed"):
            self._require(name, getattr(self, name) >= 0, "at least 0")

    def replace(self, **changes: Any) -> "Config":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON types."""
        return dataclasses.asdict(self) | {"widths": list(self.widths)}

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Config":
        """The configuration with these fields.

        Raises:
            ValueError: an unknown field, or a bad value.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(fields) - known):
            raise ValueError(f"unknown configuration fields {unknown}; known are {sorted(known)}")
        return cls(**fields)

    @classmethod
    def from_json(cls, text: str) -> "Config":
        """The inverse of `to_json`; errors as in `from_dict`."""
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise ValueError(f"a configuration is a JSON object, got {type(fields).__name__}")
        return cls.from_dict(fields)

    def _require(self, name: str, holds: Any, expected: str) -> None:
        if not holds:
            raise ValueError(f"{name} must be {expected}, got {getattr(self, name)!r}")


def _check_type(name: str, value: Any, annotation: Any) -> None:
    choices = typing.get_args(annotation)
    if typing.get_origin(annotation) is Literal:
        fits, expected = value in choices, f"one of {sorted(choices)}"
    elif typing.get_origin(annotation) is tuple:
        fits = type(value) is tuple and all(type(item) is int for item in value)
        expected = "a tuple of integers"
    elif annotation is float:
        fits, expected = type(value) in (int, float), "a number"
    else:
        fits, expected = type(value) is annotation, f"of type {annotation.__name__}"
    if not fits:
        raise ValueError(f"{name} must be {expected}, got {value!r}")
