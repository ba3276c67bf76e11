"""The tables and the pictures of models on known factors."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from experiments.factors.layout import LAYOUT, SCORES, USED
from experiments.factors.lineup import of_beta
from experiments.factors.matched import at_equal_psnr, matched_table
from experiments.factors.presets import PRESETS
from experiments.pages.table import PageTable, rows_of
from experiments.records.rows import Row
from experiments.reporting.columns import QUALITY
from experiments.reporting.figures.factors import draw_information, draw_traversals
from experiments.reporting.figures.style import Drawing
from experiments.reporting.tables import Cell, pipe_table
from experiments.study.lineup import BASELINE, DIMENSION, ELEMENT, SAMPLE, dense_title

SMALL = PRESETS["small"]
VARIANT = SMALL.data
_SHOWN_BETA = SMALL.few_betas[0]
_COMPARED = (BASELINE, dense_title(SMALL.k), DIMENSION, ELEMENT)
_CLAIMED = ("mig", "dci_disentanglement")
_COLUMNS = (QUALITY[0], *SCORES, *USED)

TABLES = {
    "factors": PageTable(
        "factors",
        LAYOUT.name,
        [(VARIANT, column) for column in _COLUMNS],
        f"{SMALL.latent_dim} latents, K = {SMALL.k}",
    )
}


def own_rows() -> list[Row]:
    """The committed rows."""
    return [row for row in rows_of("factors") if row.variant == VARIANT]


def matched() -> str:
    """Every model minus the beta-VAE at equal PSNR."""
    table = matched_table(own_rows(), SCORES)
    lines = [table.header, ["---", *["---:"] * (len(table.header) - 1)]]
    return pipe_table([*lines, *([_inline(cell) for cell in line] for line in table.body)])


def claim() -> str:
    """For each Top-K model, whether it is above the beta-VAE of equal PSNR in MIG and DCI."""
    rows = own_rows()
    found = {metric: at_equal_psnr(rows, metric) for metric in _CLAIMED}
    columns = {column.metric: column for column in SCORES}
    lines = [["above the beta-VAE of equal PSNR", "MIG", "DCI D", "both"]]
    lines.append(["---", "---:", "---:", "---"])
    for title in (DIMENSION, ELEMENT, SAMPLE):
        for model in (of_beta(title, beta) for beta in SMALL.few_betas):
            those = {metric: cells[model] for metric, cells in found.items() if model in cells}
            if those:
                texts = [
                    columns[metric].format(difference, signed=True)
                    if (difference := beside.difference)
                    else "no beta-VAE of that PSNR"
                    for metric, beside in those.items()
                ]
                is_met = all(beside.is_above for beside in those.values())
                lines.append([model, *texts, "yes" if is_met else "no"])
    return pipe_table(lines)


def _inline(cell: Cell) -> str:
    return f"**{cell.text}**" if cell.strong else cell.text


def _of_few(
    draw: Callable[[Sequence[Row]], Iterator[Drawing]], titles: Sequence[str]
) -> Callable[[Sequence[Row]], Iterator[Drawing]]:
    """Draws the rows of these models, in this order."""
    models = [of_beta(title, _SHOWN_BETA) for title in titles]

    def of_few(rows: Sequence[Row]) -> Iterator[Drawing]:
        yield from draw([row for model in models for row in rows if row.model == model])

    return of_few


TEXTS: Mapping[str, Callable[[], str]] = {"factors-matched": matched, "factors-claim": claim}
_PLACE = ("factors", LAYOUT.name, VARIANT)
PICTURES = {
    "factors": (_of_few(draw_information, _COMPARED), _PLACE),
    "factors-beta-vae": (_of_few(draw_traversals, (BASELINE,)), _PLACE),
    "factors-top-k": (_of_few(draw_traversals, (ELEMENT,)), _PLACE),
}
