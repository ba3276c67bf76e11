"""What the page of `experiments.explore` shows of a model, as HTML; needs no web library."""

import io
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np

from experiments.explore import markup
from experiments.explore.inspection import Inspector, with_entry
from experiments.explore.markup import Tile
from experiments.measures.robustness import noisy
from experiments.reporting.figures.style import STYLE
from experiments.reporting.figures.training_curves import plot_importance
from vae_topk_jax.checkpoint_folder import CHECKPOINTS, latest_checkpoint
from vae_topk_jax.data import Dataset, to_unit_float
from vae_topk_jax.metrics.image import psnr
from vae_topk_jax.runs.importance_log import IMPORTANCE, read_importance

_PER_CLASS = 3  # thumbnails of each label


class Shown(NamedTuple):
    """What the page shows of one image.

    Attributes:
        tiles: the image, with noise, and what the models make of that.
        edited: what the code decodes to, which a drag changes.
        sliders: of the code.
        choice: how the mask chose it.
        z_D: the code.
    """

    tiles: str
    edited: str
    sliders: str
    choice: str
    z_D: np.ndarray


class View:
    """A model, the test images, and perhaps a dense model beside it.

    Args:
        model: the model.
        dataset: whose test images are shown.
        dense: another model of the same images.

    Raises:
        ValueError: images of another shape than the dataset's.
    """

    def __init__(self, model: Inspector, dataset: Dataset, dense: Inspector | None = None):
        for inspector in filter(None, (model, dense)):
            if (shape := inspector.model.info.image_shape) != dataset.image_shape:
                raise ValueError(
                    f"the model must be one of images {dataset.image_shape}, got one of {shape}"
                )
        self.model, self.dense, self.dataset = model, dense, dataset
        self.images_NxHxWxC = to_unit_float(dataset.test_images)
        self.limit_D = model.limits(self.images_NxHxWxC)
        self.show(self.images_NxHxWxC[0], 0.5, 0)  # compiles what is left

    @property
    def summary(self) -> str:
        """What is looked at, in one paragraph of HTML."""
        config, info = self.model.model.config, self.model.model.info
        line = (
            f"{config.system.summary}, step {int(self.model.model.state.step):,} of "
            f"{info.trainer.total_steps:,}, trained on {info.data.get('source', 'unknown images')}"
        )
        if info.data_digest != self.dataset.digest:
            line += f"; the images here are others: {self.dataset.source}"
        return f"<p><b>{config.model}</b>, {escape(line)}</p>"

    @property
    def first(self) -> int:
        """The index of the image shown first."""
        return self._picked()[0]

    def thumbnails(self) -> str:
        """A button for each of the first test images of every label, a row a label's rank."""
        _, labels = self.dataset.labels
        titles = [f"test image {i}, labelled {labels[i]}" for i in self._picked()]
        return markup.thumbnails(self.images_NxHxWxC, self._picked(), titles)

    def _picked(self) -> list[int]:
        _, labels = self.dataset.labels
        by_label = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        return [int(found[n]) for n in range(_PER_CLASS) for found in by_label if n < len(found)]

    def image(self, index: Any) -> np.ndarray:
        """The test image of that number, in [0, 1].

        Raises:
            ValueError: no such image.
        """
        if type(index) is not int or not 0 <= index < len(self.images_NxHxWxC):
            raise ValueError(
                f"index must be an integer in [0, {len(self.images_NxHxWxC)}), got {index!r}"
            )
        return self.images_NxHxWxC[index]

    def show(self, x_HxWxC: np.ndarray, sigma: float, seed: int) -> Shown:
        """Everything about an image with noise: x + sigma eps, clipped to [0, 1], eps ~ N(0, I).

        Args:
            x_HxWxC: the clean image in [0, 1].
            sigma: standard deviation of the noise.
            seed: of the noise; the same eps for every sigma.
        """
        noisy_HxWxC = noisy(x_HxWxC[None], sigma, seed, clip=True)[0]
        z_D, choice = self.model.code(noisy_HxWxC), self.model.choice(noisy_HxWxC)

        def compared(title: str, image_HxWxC: np.ndarray) -> Tile:
            ratio = float(psnr(x_HxWxC[None], image_HxWxC[None])[0])
            return Tile(title, image_HxWxC, f"PSNR {ratio:.1f} dB" if np.isfinite(ratio) else "")

        def reconstructed(inspector: Inspector) -> np.ndarray:
            return inspector.image(inspector.code(noisy_HxWxC))

        dense = Tile("dense model", None, "start with --dense DIR to compare")
        if self.dense is not None:
            config = self.dense.model.config
            dense = compared(f"{config.model}, D = {config.latent_dim}", reconstructed(self.dense))
        shown = [
            Tile("image", x_HxWxC),
            compared(f"with noise, sigma {sigma:g}", noisy_HxWxC),
            compared(self.name, self.model.image(z_D)),
            dense,
        ]
        chart = markup.bars(choice.rank_D, choice.active_D, choice.level)
        said = f"<p>{escape(choice.rule)}. Bars: {escape(choice.ranked_by)}.</p>"
        return Shown(
            tiles=markup.tiles(shown),
            edited=self._edited(z_D),
            sliders=markup.sliders(z_D, self.limit_D, self.model.model.active_dims),
            choice=f'<div class="choice">{said}{chart}</div>',
            z_D=z_D,
        )

    @property
    def name(self) -> str:
        """The model in a few words."""
        config = self.model.model.config
        return f"{config.model}, {config.system.summary}"

    def edit(self, z_D: np.ndarray, dimension: Any, value: Any) -> tuple[str, np.ndarray]:
        """The decoded image and the code after one entry of it was set.

        Raises:
            ValueError: as `inspection.with_entry`.
        """
        z_D = with_entry(z_D, dimension, value)
        return self._edited(z_D), z_D

    def _edited(self, z_D: np.ndarray) -> str:
        note = f"{np.count_nonzero(z_D)} latents active"
        return markup.tiles([Tile("your latents", self.model.image(z_D), note)], "tiles edited")

    def importance(self, checkpoint: Path) -> str:
        """The importance over training, where the run beside the checkpoint kept it.

        Args:
            checkpoint: a checkpoint, or the folder of them.
        """
        folder = latest_checkpoint(checkpoint).parent
        run = folder.parent if folder.name == CHECKPOINTS else folder
        history = read_importance(run)
        if history is None:
            said = f"This run kept no {IMPORTANCE}, so its importance cannot be shown."
            return f'<div class="importance">{said}</div>'
        history["active_dims"] = self.model.model.active_dims
        with matplotlib.rc_context(STYLE):
            figure = plot_importance({self.name: {"importance": history}})
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=150)
        image = markup.embedded(buffer.getvalue(), "importance over training")
        return f'<div class="importance">{image}</div>'
