"""Writes a trained model as files that others can run: StableHLO, safetensors and a model card.

python -m experiments.export --checkpoint runs/model/checkpoints --out runs/model/exported
"""

from collections.abc import Mapping
from pathlib import Path

from experiments.records.rows import RESULTS_NAME, Row, read_results
from experiments.reporting.definitions import define
from experiments.terminal import cli
from vae_topk_jax.checkpoint_folder import latest_checkpoint
from vae_topk_jax.export import Part, export_model
from vae_topk_jax.inference import Inference, load
from vae_topk_jax.model_card import write_card
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.runs.progress import console


def main(
    checkpoint: Path, out: Path, part: Part = "both", verify: bool = True, refine: int = 0
) -> None:
    """Writes a trained model as files that others can run, its fitted priors among them.

    Args:
        checkpoint: a run's folder, its folder of checkpoints, or one of them.
        out: folder to make.
        part: which programs: the encoder, the decoder, or both.
        verify: compare the checkpoint with its manifest first.
        refine: passes of refinement that the encoder makes of each image (docs/recipes.md).
    """
    inference = load(checkpoint, verify=verify)
    metrics = find_metrics(checkpoint, inference)
    folder = export_model(inference, out, part, refine=refine)
    card = write_card(folder, inference, metrics, define(metrics, inference.info.measured))
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        console.print(f"{path}: {path.stat().st_size:,} bytes")
    console.print(
        f"model card: {card}{'' if metrics else ' (the run has no metrics of this step)'}"
    )


def find_metrics(checkpoint: Path, inference: Inference) -> Mapping[str, float]:
    """What `experiments.train` measured of the model at its last step; nothing at another step.

    Args:
        checkpoint: a run's folder, its folder of checkpoints, or one of them.
        inference: the model in it.
    """
    if int(inference.state.step) == inference.info.trainer.total_steps:
        for folder in latest_checkpoint(checkpoint).parents[:2]:
            if (folder / RESULTS_NAME).is_file():
                rows = [row for row in read_results(folder).rows if _is_of(row, inference.info)]
                return rows[-1].metrics if rows else {}
    return {}


def _is_of(row: Row, info: RunInfo) -> bool:
    return row.experiment == "train" and (row.config, row.data) == (
        info.config.to_dict(),
        info.data,
    )


if __name__ == "__main__":
    cli.run(main)
