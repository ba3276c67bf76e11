"""The options of a gallery, besides the model and its inputs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vae_topk_jax.data.rows import Images

if TYPE_CHECKING:
    from vae_topk_jax.inference import Inference


@dataclasses.dataclass(frozen=True, eq=False)
class GalleryOptions:
    """What a gallery shows besides the latents of one model.

    Attributes:
        labels: (N,), integers that are not negative.
        source: what the inputs are, such as "test split of mnist".
        previews: what stands for an input on a page, where that is not the input itself: uint8
            images (N, H, W, C), or N texts.
        history: the importance over training, as `runs.importance_log.read_importance` gives it.
        against: another model of such inputs, with which the latents are matched.
        meta: a meta-SAE of the decoder's directions.
        metrics: what was measured of the model, for the start page.
        examples: how many inputs of each kind a page shows.

    Raises:
        ValueError: examples outside [1, 64].
    """

    labels: NDArray[np.integer] | None = None
    source: str = "an array"
    previews: Images | Sequence[str] | None = None
    history: Mapping[str, Any] | None = None
    against: "Inference | None" = None
    meta: "Inference | None" = None
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    examples: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.examples <= 64:
            raise ValueError(f"examples must lie in [1, 64], got {self.examples}")

    @property
    def texts(self) -> Sequence[str] | None:
        """The previews, where they are texts."""
        return self.previews if isinstance(self.previews, Sequence) else None

    @property
    def pictures(self) -> Images | None:
        """The previews, where they are images."""
        return None if isinstance(self.previews, Sequence) else self.previews

    def check(self, model: "Inference", images: Images) -> None:
        """Refuses what does not fit the model and its inputs.

        Raises:
            ValueError: names the option.
        """
        if self.previews is not None:
            if len(self.previews) != len(images):
                raise ValueError(
                    f"previews must be one for each of the {len(images):,} inputs, "
                    f"got {len(self.previews):,}"
                )
            shown = self.pictures
            if shown is not None and (shown.dtype != np.uint8 or shown.ndim != 4):
                raise ValueError(
                    "previews must be texts or uint8 images (N, H, W, C), got "
                    f"{shown.dtype} {shown.shape}"
                )
        shape = model.info.image_shape
        if self.against is not None and self.against.info.image_shape != shape:
            raise ValueError(
                f"against must be a model of inputs {shape}, got one of "
                f"{self.against.info.image_shape}"
            )
        values = (1, 1, int(np.prod(shape)))
        if self.meta is not None and self.meta.info.image_shape != values:
            raise ValueError(
                f"meta must be a model of directions {values}, got one of "
                f"{self.meta.info.image_shape}"
            )
        if self.history is not None:
            size = len(self.history["values"][-1])
            if size != model.config.latent_dim:
                raise ValueError(
                    f"history must be of {model.config.latent_dim} latents, got {size}"
                )
