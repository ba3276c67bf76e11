"""Writes a trained model as files that others can run: StableHLO, safetensors and a model card.

python -m experiments.export --checkpoint runs/model/checkpoints --out runs/model/exported
"""

from pathlib import Path

from experiments.terminal import cli
from vae_topk_jax.export import Part, export_model
from vae_topk_jax.inference import load
from vae_topk_jax.runs.model_card import find_row, write_card
from vae_topk_jax.runs.progress import console


def main(checkpoint: Path, out: Path, part: Part = "both", verify: bool = True) -> None:
    """Writes a trained model as files that others can run.

    Args:
        checkpoint: a run's folder of checkpoints, or one in it.
        out: folder to make.
        part: which programs: the encoder, the decoder, or both.
        verify: compare the checkpoint with its manifest first.
    """
    inference = load(checkpoint, verify=verify)
    row = find_row(checkpoint, inference)
    folder = export_model(inference, out, part)
    card = write_card(folder, inference, row)
    for path in sorted(folder.iterdir()):
        console.print(f"{path}: {path.stat().st_size:,} bytes")
    console.print(f"model card: {card}{'' if row else ' (the run has no metrics of this step)'}")


if __name__ == "__main__":
    cli.run(main)
