"""What travels with the weights of a model: its configuration, and what it was trained on."""

import dataclasses
import functools
from typing import Any

from vae_topk_jax.config import Config
from vae_topk_jax.data.dataset import Measured
from vae_topk_jax.json_object import JsonObject
from vae_topk_jax.training import Trainer

MOST_LAYERS = 256


@dataclasses.dataclass(frozen=True)
class RunInfo:
    """What travels with the weights.

    Attributes:
        config: the configuration.
        image_shape: (H, W, C).
        data: {"source": ..., "train": number of images, "test": number of images}, and "measured":
            "validation" where the latter were held out of the training images.
        data_digest: `Dataset.digest`, equal for two sources that gave the same images.

    Raises:
        ValueError: more than 256 layers.
    """

    config: Config
    image_shape: tuple[int, int, int]
    data: dict[str, Any]
    data_digest: str = ""

    def __post_init__(self) -> None:
        if len(widths := getattr(self.config, "widths", ())) > MOST_LAYERS:
            raise ValueError(f"widths must have at most {MOST_LAYERS} items, got {len(widths):,}")

    def __getstate__(self) -> dict[str, Any]:
        """What `pickle` keeps: the fields, without the trainer and its compiled programs."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @functools.cached_property
    def trainer(self) -> Trainer:
        """The trainer of the run."""
        return Trainer(self.config, self.image_shape, self.data["train"])

    @property
    def measured(self) -> Measured:
        """What the run was measured on beside its training images."""
        return "validation" if self.data.get("measured") == "validation" else "test"

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON types."""
        return {
            "config": self.config.to_dict(),
            "image_shape": list(self.image_shape),
            "data": self.data,
            "data_digest": self.data_digest,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "RunInfo":
        """The inverse of `to_dict`, for what a file holds; other fields are left alone.

        Raises:
            ValueError: a field that is missing, of another type or out of range, by name.
        """
        about = JsonObject(fields)
        config, data = about.object("config"), about.object("data")
        data.integer("train", least=1)
        if "test" in data.fields:
            data.integer("test")
        if "source" in data.fields:
            data.text("source")
        return cls(
            config=Config.from_saved(config.fields),
            image_shape=about.shape("image_shape"),
            data=data.fields,
            data_digest=about.text("data_digest"),
        )
