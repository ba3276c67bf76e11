"""Models of a study, which keeps rows and no weights: trained anew from the settings of a row."""

from collections.abc import Sequence
from pathlib import Path

from experiments.records.rows import Row, current_rows, read_results, results_path
from experiments.reporting.galleries import gallery_folder
from experiments.study.lineup import ELEMENT
from vae_topk_jax import fit
from vae_topk_jax.config import Config, fields_for
from vae_topk_jax.data import Dataset
from vae_topk_jax.inference import Inference
from vae_topk_jax.models.registry import MODELS


def row_to_show(results: Path, title: str | None) -> tuple[Row, Path]:
    """The row whose model is shown, and the folder of its gallery.

    Args:
        results: a results file, or the folder that holds it.
        title: of the model, as the tables have it; None: the library's default, or else the first
            sparse one.

    Raises:
        ValueError: no such row.
    """
    trained = [row for row in current_rows(read_results(results).rows) if _is_trained(row)]
    titles = list(dict.fromkeys(row.model for row in trained))
    wanted = title or _default(trained)
    found = [row for row in trained if row.model == wanted]
    if not found:
        raise ValueError(f"row must be one of {titles}, got {wanted!r}")
    return found[0], gallery_folder(results_path(results).parent, found[0])


def train_row(row: Row, dataset: Dataset, results: Path) -> Inference:
    """The model of a row.

    Raises:
        ValueError: the data are not those of the study.
    """
    digest = read_results(results).environment.get("data_digest", dataset.digest)
    if dataset.digest != digest:
        raise ValueError(
            f"data must be those of the study, {row.data['source']}, got {dataset.source}"
        )
    model = row.config["model"]
    fields = {name: row.config[name] for name in fields_for(model) if name in row.config}
    return fit(dataset, Config.from_saved({"model": model} | fields))


def _is_trained(row: Row) -> bool:
    return row.config.get("model") in MODELS and "inputs" not in row.config


def _default(rows: Sequence[Row]) -> str | None:
    sparse = [row.model for row in rows if MODELS[row.config["model"]].is_sparse]
    return ELEMENT if ELEMENT in sparse else next(iter(sparse), None)
