"""The inputs on which a trained model is looked at: by default those of its run."""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np

from vae_topk_jax.checkpoint_folder import CHECKPOINTS, latest_checkpoint
from vae_topk_jax.data import DataOptions, Dataset, load_dataset
from vae_topk_jax.data.rows import Images
from vae_topk_jax.model_files import ABOUT
from vae_topk_jax.runs.inputs import PIXELS, load_inputs
from vae_topk_jax.runs.run_folder import read_names

Split = Literal["train", "test"]


@dataclasses.dataclass(frozen=True)
class ShownInputs:
    """One split of some data.

    Attributes:
        images: (N, H, W, C), as the model takes them but for the division of bytes by 255.
        labels: (N,); None: there are none.
        previews: uint8 images that stand for them where they are vectors made of images.
        source: the split and where the data come from.
        digest: of the data.
    """

    images: Images
    labels: np.ndarray | None
    previews: Images | None
    source: str
    digest: str

    @classmethod
    def of(cls, dataset: Dataset, split: Split, name: str = PIXELS) -> "ShownInputs":
        """A split of a data set.

        Args:
            dataset: the data.
            split: which.
            name: what the model sees of them, as `load_inputs` has it.

        Raises:
            ValueError: as `load_inputs`.
        """
        inputs, images = load_inputs(name, dataset), getattr(dataset, f"{split}_images")
        has_previews = name != PIXELS and images.dtype == np.uint8
        return cls(
            getattr(inputs, split),
            getattr(dataset, f"{split}_labels"),
            images if has_previews else None,
            f"{split} split of {dataset.source}",
            inputs.digest,
        )


def find_inputs(
    checkpoint: Path,
    split: Split,
    data: str | None = None,
    reading: DataOptions | None = None,
    name: str | None = None,
) -> ShownInputs:
    """The inputs to show a model on.

    Args:
        checkpoint: a run's folder, its folder of checkpoints, one of them, or model files.
        split: which split.
        data, reading: the data and how they are read, as `load_dataset` takes them; None: those
            that the run has kept, or else "auto".
        name: what the model sees of them; None: what the run has kept, or else the pixels.

    Raises:
        ValueError: no such data or inputs.
    """
    run = run_folder(checkpoint)
    names = {} if run is None else read_names(run)
    if data is None:
        given = DataOptions() if reading is None else reading
        kept = DataOptions.from_saved(names)
        reading = dataclasses.replace(kept, **given.given)
    dataset = load_dataset(data or names.get("data", "auto"), reading)
    return ShownInputs.of(dataset, split, name or names.get("inputs", PIXELS))


def run_folder(checkpoint: Path) -> Path | None:
    """The folder of the run that a checkpoint belongs to; None for model files."""
    if (checkpoint / ABOUT).exists():
        return None
    folder = latest_checkpoint(checkpoint).parent
    return folder.parent if folder.name == CHECKPOINTS else folder
