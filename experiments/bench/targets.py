"""What was wanted of two CPU cores, beside what was measured."""

from collections.abc import Sequence

from experiments.bench.groups.training import PRODUCTS
from experiments.records.rows import Row
from experiments.reporting.tables import pipe_table
from experiments.study.lineup import BASELINE, DIMENSION, ELEMENT

MLP, CONV = "MLP 512-256", "convolutional 32-64"
_EAGER, _DENSE = "PyTorch, Top-K by dimension", "PyTorch, beta-VAE"
_COMPILED, _PYTHAE = "torch.compile, Top-K by dimension", "pythae, beta-VAE"
# Title, target, body, and the two whose times of an epoch are divided.
_RATIOS = (
    ("PyTorch over ours, Top-K by dimension", "at least 2", MLP, _EAGER, DIMENSION),
    ("the same, beta-VAE", "", MLP, _DENSE, BASELINE),
    ("PyTorch over the products of ours alone", "", MLP, _EAGER, PRODUCTS),
    ("pythae's beta-VAE over our Top-K by dimension", "at least 2", MLP, _PYTHAE, DIMENSION),
    ("the same over our beta-VAE", "at least 2", MLP, _PYTHAE, BASELINE),
    ("`torch.compile` over ours, by dimension", "at least 1.5", MLP, _COMPILED, DIMENSION),
    ("products alone over Top-K by dimension", "at least 0.8", MLP, PRODUCTS, DIMENSION),
    ("the same, by element", "", MLP, PRODUCTS, ELEMENT),
    ("the same, beta-VAE", "", MLP, PRODUCTS, BASELINE),
    ("by dimension over beta-VAE", "at most 1.05", MLP, DIMENSION, BASELINE),
    ("by element over beta-VAE", "at most 1.15", MLP, ELEMENT, BASELINE),
    ("convolutional, by dimension over PyTorch", "at most 1.2", CONV, DIMENSION, _EAGER),
    ("the same, beta-VAE", "at most 1.2", CONV, BASELINE, _DENSE),
)
_STARTS = (
    ("import", "below 2 s", "import vae_topk_jax"),
    ("second start to the first step", "below 3 s", "first step, programs cached"),
)


def targets(rows: Sequence[Row]) -> str:
    """The table, from the bench's rows."""
    metrics = {(row.experiment, row.variant, row.model): row.metrics for row in rows}

    def seconds(body: str, model: str) -> float:
        return metrics["bench_training", body, model]["seconds_epoch"]

    lines = [["time of an epoch, two CPU cores", "target", "measured"], ["---", "---", "---:"]]
    for title, target, body, model, other in _RATIOS:
        lines.append([title, target, f"{seconds(body, model) / seconds(body, other):.2f}"])
    for model in (BASELINE, DIMENSION, ELEMENT):
        measured = metrics["bench_seeds", model, "8 seeds"]["together_over_in_turn"]
        title = f"8 seeds together over one after another, {model}"
        lines.append([title, "at most 1", f"{measured:.2f}"])
    for title, target, process in _STARTS:
        measured = metrics["bench_startup", "", process]["seconds"]
        lines.append([title, target, f"{measured:.1f} s"])
    return pipe_table(lines)
