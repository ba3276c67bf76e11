"""A static site with a page for every latent of a model, which opens without a server.

    python -m experiments.gallery --checkpoint runs/model --out gallery
    python -m experiments.gallery --checkpoint runs/sae --against runs/sae-1 --split train
    python -m experiments.gallery --results runs/quick

The last line trains the default model of a study anew and puts its gallery into the study's folder,
where `experiments.report` links to it.
"""

import dataclasses
from pathlib import Path

from experiments.export import find_metrics
from experiments.gallery.previews import read_previews
from experiments.gallery.study_rows import row_to_show, train_row
from experiments.study.shown_inputs import ShownInputs, Split, find_inputs, run_folder
from experiments.terminal import cli
from vae_topk_jax.checkpoint_folder import read_info
from vae_topk_jax.data import DataOptions, load_dataset
from vae_topk_jax.data.rows import Images
from vae_topk_jax.gallery.options import GalleryOptions
from vae_topk_jax.gallery.site import write_gallery
from vae_topk_jax.inference import Inference, load
from vae_topk_jax.model_files import ABOUT
from vae_topk_jax.runs.importance_log import read_importance
from vae_topk_jax.runs.progress import console


@dataclasses.dataclass(frozen=True)
class Options:
    """Writes a static site with a page for every latent of a model."""

    checkpoint: Path | None = None
    """A run's folder, its folder of checkpoints, one of them, or a folder of model files."""
    results: Path | None = None
    """In place of a checkpoint: the folder of a study, whose default model is trained anew."""
    row: str | None = None
    """Of a study: the title of another model of its tables."""
    out: Path | None = None
    """The folder to make, "gallery" if not given, or that of a study; an earlier gallery there is
    replaced."""
    data: str | None = None
    """The inputs, as in experiments.train; those of the run if not given."""
    reading: DataOptions = dataclasses.field(default_factory=DataOptions)
    inputs: str | None = None
    """What the model sees of them, as in experiments.train; as in the run if not given."""
    split: Split = "test"
    """Whose inputs are looked at."""
    previews: Path | None = None
    """What stands for an input on a page: a .txt file with a line for each input of the split, or
    an .npy file with a uint8 image for each."""
    against: Path | None = None
    """A checkpoint of another model of the same inputs, whose latents are matched with these."""
    meta: Path | None = None
    """A checkpoint of a meta-SAE of this model's directions (experiments.stitch)."""
    examples: int = 8
    """How many inputs of each kind a page shows."""


def main(args: list[str] | None = None) -> None:
    """Parses the command line and writes the gallery."""
    with cli.one_line_errors():
        write(cli.parse(Options, args))


def write(options: Options) -> Path:
    """Writes the gallery that the options describe.

    Raises:
        ValueError: options that exclude each other or do not fit; as `write_gallery`.
    """
    if (options.checkpoint is None) == (options.results is None):
        raise ValueError("give either a checkpoint or results")
    for name in ("previews", "inputs", "meta") if options.results else ("row",):
        if getattr(options, name) is not None:
            belongs = "a checkpoint" if options.results else "results"
            raise ValueError(f"{name} goes with {belongs}: leave it out")
    shown = _of_study(options) if options.results else _of_checkpoint(options)
    page = write_gallery(*shown)
    console.print(f"gallery: {page}", soft_wrap=True)
    return page


def _of_checkpoint(options: Options) -> tuple[Inference, Images, Path, GalleryOptions]:
    assert options.checkpoint is not None
    for path in filter(None, (options.checkpoint, options.against, options.meta)):
        if not (path / ABOUT).exists():
            read_info(path)
    previews = None if options.previews is None else read_previews(options.previews)
    inputs = find_inputs(
        options.checkpoint, options.split, options.data, options.reading, options.inputs
    )
    model, run = load(options.checkpoint), run_folder(options.checkpoint)
    shown = GalleryOptions(
        labels=inputs.labels,
        source=inputs.source,
        previews=inputs.previews if previews is None else previews,
        history=None if run is None else read_importance(run),
        against=None if options.against is None else load(options.against),
        meta=None if options.meta is None else load(options.meta),
        metrics={} if run is None else _of_test_split(options.checkpoint, model),
        examples=options.examples,
    )
    return model, inputs.images, options.out or Path("gallery"), shown


def _of_test_split(checkpoint: Path, model: Inference) -> dict[str, float]:
    """What the run has measured, but for what a gallery counts itself."""
    found = find_metrics(checkpoint, model).items()
    return {f"{name}, test split": x for name, x in found if not name.startswith("active")}


def _of_study(options: Options) -> tuple[Inference, Images, Path, GalleryOptions]:
    assert options.results is not None
    row, folder = row_to_show(options.results, options.row)
    dataset = load_dataset(options.data or "auto", options.reading)
    dataset = dataset.limit(row.data["train"], row.data["test"])
    model = train_row(row, dataset, options.results)
    inputs = ShownInputs.of(dataset, options.split)
    shown = GalleryOptions(
        labels=inputs.labels,
        source=inputs.source,
        history=(row.history or {}).get("importance"),
        against=None if options.against is None else load(options.against),
        examples=options.examples,
    )
    return model, inputs.images, options.out or folder, shown


if __name__ == "__main__":
    main()
