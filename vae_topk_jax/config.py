"""The configuration of one training run."""

import dataclasses
import json
import typing
from typing import Any, Literal

from vae_topk_jax.bottleneck import SelectionRule
from vae_topk_jax.importance import IMPORTANCES
from vae_topk_jax.losses import KLMode, Likelihood, Reduction
from vae_topk_jax.scores import SCORES


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

    model: Literal["vae", "beta_vae", "top_k_vae", "vsc", "sparse_generator", "batch_topk_sae"] = (
        "top_k_vae"
    )
    """Which system, a name in `vae_topk_jax.models.MODELS`; in "vae" beta is 1 whatever is said
    below."""
    latent_dim: int = 64
    """D, the number of latent dimensions."""
    k: int = 8
    """How many dimensions pass the mask (batch_topk_sae, top_k_vae); how many of the latent_dim the
    prior expects to be active (sparse_generator, vsc)."""
    selection: SelectionRule = "element"
    """What the K are (top_k_vae): B * K entries of the batch by element, K entries of each image
    per sample, or the batch's K dimensions by dimension, which is the paper's."""
    importance: str = "kl"
    """What ranks dimensions (top_k_vae): a name in `vae_topk_jax.importance.IMPORTANCES`;
    "mean_abs_z" is the paper's literal rule."""
    score: str = "abs_mu"
    """What ranks entries, by element and per sample (top_k_vae): a name in
    `vae_topk_jax.scores.SCORES`."""
    ema_decay: float = 0.99
    """Decay of the running averages, a step (batch_topk_sae, top_k_vae)."""
    k_anneal: float = 0.0
    """Share of the run over which the number of latents that pass falls from D to K."""
    freeze_after: float = 1.0
    """Share of the run after which training masks by the running statistics, as inference does."""
    hysteresis: float = 0.0
    """By dimension: by what share of its importance a dimension outside the running choice must
    beat one inside."""
    straight_through: bool = False
    """Pass gradients to masked entries as if they had not been masked."""
    revival: float = 0.0
    """Weight of a second reconstruction with dead dimensions added to the code held constant."""
    nested: bool = False
    """Draw the number of latents that pass from 1 to D for each batch, so that one model serves
    every K (by dimension or per sample)."""
    sensitivity_every: int = 10
    """Multiply importances and scores by the decoder's sensitivity to the dimension, estimated on
    every so many batches; 0: do not."""
    kl_mode: KLMode = "gaussian"
    """Posterior and prior of a latent: Gaussian, or a spike at zero and a Gaussian slab."""
    kl_inactive: float = 1.0
    """Weight of the KL of masked entries beside that of active ones: 1 is the paper's KL before the
    mask, 0 leaves them free, more pulls them to the prior."""
    vsc_prior: Literal["pseudo_inputs", "fixed"] = "pseudo_inputs"
    """What the prior is (vsc): the encodings of trainable inputs, one chosen for each image, or
    fixed, with N(0, 1) slabs."""
    pseudo_inputs: int = 10
    """How many trainable inputs the prior has (vsc)."""
    slab_warmup: float = 0.2
    """Share of the run after which slabs have means and variances of their own (vsc); for its first
    half they are N(0, 1), so that spikes are learnt first."""
    inference_steps: int = 30
    """How many gradient steps infer the latents of an image (sparse_generator)."""
    inference_step_size: float = 0.1
    """How far a step goes along the gradient of the error summed over pixels (sparse_generator)."""
    spike_width: float = 0.05
    """Standard deviation of the prior's spikes at the end of training (sparse_generator)."""
    threshold_start: int = 1000
    """How many steps the average of the threshold leaves out, in a run that has as many more
    (batch_topk_sae)."""
    aux_weight: float = 0.03125
    """Weight of the dead latents' reconstruction of the residual (batch_topk_sae)."""
    aux_k: int = 0
    """How many dead latents an input is given for that; 0: half as many as it has values
    (batch_topk_sae)."""
    dead_after: int = 10_000
    """For how many examples a latent must have been silent to count as dead (batch_topk_sae)."""
    beta: float = 0.001
    """Weight of the KL term (beta_vae, top_k_vae, vsc) or of the prior (sparse_generator)."""
    beta_warmup: float = 0.5
    """Share of the run over which beta rises linearly from 0. Without it, a KL summed over latents
    switches some of the K dimensions off before they carry anything, for good; 0 for the paper."""
    likelihood: Likelihood = "gaussian"
    """Reconstruction term: squared error, or Bernoulli in nats."""
    pixel_reduction: Reduction = "mean"
    """How the reconstruction term is reduced over pixels."""
    latent_reduction: Reduction = "mean"
    """How the KL term is reduced over latents."""
    body: Literal["mlp", "residual", "conv"] = "mlp"
    """Encoder and decoder: dense layers with ReLU, dense layers with LayerNorm, GELU and skips, or
    convolutions."""
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
        counts = ("latent_dim", "k", "batch_size", "epochs", "dead_after", "pseudo_inputs")
        for name in (*counts, "inference_steps"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require(
            "k",
            self.k <= self.latent_dim or self.model in ("vae", "beta_vae"),
            f"at most latent_dim, {self.latent_dim}",
        )
        self._require("importance", self.importance in IMPORTANCES, f"one of {sorted(IMPORTANCES)}")
        self._require("score", self.score in SCORES, f"one of {sorted(SCORES)}")
        self._require("ema_decay", 0 <= self.ema_decay < 1, "in [0, 1)")
        self._require("widths", self.widths and min(self.widths) >= 1, "one or more positive sizes")
        for name in ("learning_rate", "inference_step_size"):
            self._require(name, 0 < getattr(self, name) < float("inf"), "positive and finite")
        self._require("spike_width", 0 < self.spike_width < 1, "in (0, 1)")
        for name in ("beta", "aux_weight", "train_noise", "hysteresis", "revival", "kl_inactive"):
            self._require(name, 0 <= getattr(self, name) < float("inf"), "finite, at least 0")
        for name in ("beta_warmup", "k_anneal", "slab_warmup"):
            self._require(name, 0 <= getattr(self, name) <= 1, "in [0, 1]")
        for name in ("warmup_steps", "threshold_start", "aux_k", "seed", "sensitivity_every"):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        self._require(
            "nested",
            not self.nested or (self.selection != "element" and self.k_anneal == 0),
            "False by element (a threshold serves one K) and with k_anneal",
        )
        self._require(
            "freeze_after",
            self.k_anneal <= self.freeze_after <= 1 and self.freeze_after > 0,
            "above 0, from k_anneal to 1",
        )

    def replace(self, **changes: Any) -> "Config":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def changed(self) -> dict[str, Any]:
        """The fields that are not at their defaults, but for the seed.

        Examples:
            >>> Config(k=4, seed=3).changed()
            {'k': 4}
        """
        defaults = Config(seed=self.seed).to_dict()
        return {name: x for name, x in self.to_dict().items() if x != defaults[name]}

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
    items = value if type(value) is tuple else (value,)
    if any(type(item) is int and abs(item) >= 2**31 for item in items):
        raise ValueError(f"{name} must be below 2^31, got {value!r}")
