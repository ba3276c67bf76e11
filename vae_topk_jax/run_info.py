"""What travels with the weights of a model: its configuration, and what it was trained on."""

import dataclasses
import functools
import operator
from typing import Any

from vae_topk_jax.config import Config
from vae_topk_jax.training import Trainer


@dataclasses.dataclass(frozen=True)
class RunInfo:
    """What travels with the weights.

    Attributes:
        config: the configuration.
        image_shape: (H, W, C).
        data: {"source": ..., "train": number of images, "test": number of images}.
        data_digest: `Dataset.digest`, equal for two sources that gave the same images.
    """

    config: Config
    image_shape: tuple[int, int, int]
    data: dict[str, Any]
    data_digest: str = ""

    @functools.cached_property
    def trainer(self) -> Trainer:
        """The trainer of the run."""
        return Trainer(self.config, self.image_shape, self.data["train"])

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
        """The inverse of `to_dict`; other fields are left alone.

        Raises:
            ValueError: a field that is missing, or a bad value.
        """
        try:
            height, width, channels = map(operator.index, fields["image_shape"])
            operator.index(fields["data"]["train"])
            if min(height, width, channels) < 1:
                raise ValueError(f"image_shape must be positive, got {fields['image_shape']}")
            return cls(
                config=Config.from_saved(fields["config"]),
                image_shape=(height, width, channels),
                data=fields["data"],
                data_digest=fields["data_digest"],
            )
        except KeyError as missing:
            raise ValueError(f"{missing} is missing") from None
        except TypeError as error:
            raise ValueError(f"a bad value: {error}") from None
