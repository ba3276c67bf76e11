"""What was wanted of two CPU cores, beside what was measured."""

from collections.abc import Collection, Mapping, Sequence

from experiments.bench.groups.dictionary import STEP
from experiments.bench.groups.training import PRODUCTS
from experiments.bench.peers.dictionary_learning import MODULE
from experiments.records.intervals import LARGEST, SMALLEST
from experiments.records.rows import Row
from experiments.reporting.tables import pipe_table
from experiments.study.lineup import BASELINE, DIMENSION, ELEMENT

MLP, CONV = "MLP 512-256", "convolutional 32-64"
_EAGER, _DENSE = "PyTorch, Top-K by dimension", "PyTorch, beta-VAE"
_COMPILED, _PYTHAE = "torch.compile, Top-K by dimension", "pythae, beta-VAE"
# Title, target, body, and the two whose times of an epoch are divided.
RATIOS = (
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
# Whose epoch -> the metric of another's row that compares the two round by round, and whether that
# is the former's seconds over the other's.
_PAIRED = {
    BASELINE: ("over_beta", False),
    DIMENSION: ("over_dimension", False),
    PRODUCTS: ("share_of_products", True),
}
_DICTIONARY = "(512, 768, 4096), float32"
_STARTS = (
    ("import", "below 2 s", "import vae_topk_jax"),
    ("second start to the first step", "below 3 s", "first step, programs cached"),
)


Metrics = Mapping[tuple[str, str, str], Mapping[str, float]]  # experiment, variant, model


def targets(rows: Sequence[Row]) -> str:
    """The table, from the bench's rows."""
    metrics = {(row.experiment, row.variant, row.model): row.metrics for row in rows}
    lines = [["time of an epoch, two CPU cores", "target", "measured"], ["---", "---", "---:"]]
    lines += ratios(metrics)
    theirs, ours = (metrics["bench_dictionary", _DICTIONARY, name] for name in (MODULE, STEP))
    shown = f"{theirs['ms'] / ours['ms']:.2f}{_rounds(theirs, 'over_ours', 2)}"
    lines.append(["a step of a dictionary, dictionary_learning over ours", "at least 1.4", shown])
    for model in (BASELINE, DIMENSION, ELEMENT):
        title = f"8 seeds together over one after another, {model}"
        row = metrics["bench_seeds", model, "8 seeds"]
        lines.append([title, "at most 1", _measured(row, "together_over_in_turn", 2)])
    for title, target, process in _STARTS:
        measured = _measured(metrics["bench_startup", "", process], "seconds", 1)
        lines.append([title, target, f"{measured} s"])
    return pipe_table(lines)


def ratios(metrics: Metrics) -> list[list[str]]:
    """The lines of `RATIOS` of which both were measured: of the medians and, where rows have them,
    the smallest and the largest of one round."""

    def ratio(body: str, model: str, other: str) -> str:
        own, rival = (metrics["bench_training", body, name] for name in (model, other))
        shown = f"{own['seconds_epoch'] / rival['seconds_epoch']:.2f}"
        for row, compared, is_rival in ((own, other, False), (rival, model, True)):
            name, is_inverse = _PAIRED.get(compared, ("", False))
            if name + SMALLEST in row:
                ends = row[name + SMALLEST], row[name + LARGEST]
                return shown + _range(ends if is_rival == is_inverse else [1 / x for x in ends])
        return shown

    return [
        [title, target, ratio(body, *pair)]
        for title, target, body, *pair in RATIOS
        if all(("bench_training", body, name) in metrics for name in pair)
    ]


def _measured(row: Mapping[str, float], metric: str, decimals: int) -> str:
    return f"{row[metric]:.{decimals}f}{_rounds(row, metric, decimals)}"


def _rounds(row: Mapping[str, float], metric: str, decimals: int) -> str:
    """The smallest and the largest round, if the row has them."""
    if metric + SMALLEST not in row:
        return ""
    return _range((row[metric + SMALLEST], row[metric + LARGEST]), decimals)


def _range(ends: Collection[float], decimals: int = 2) -> str:
    return f" ({min(ends):.{decimals}f} to {max(ends):.{decimals}f})"
