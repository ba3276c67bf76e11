"""How the study of known factors is shown."""

from collections.abc import Iterator, Sequence

from experiments.factors.matched import matched_table
from experiments.records.grouping import by_variant
from experiments.records.rows import Row
from experiments.reporting.columns import QUALITY
from experiments.reporting.figures.factors import draw_information, draw_traversals
from experiments.reporting.figures.strips import draw_reconstructions
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column, Table

EXPERIMENT = "factors"
SCORES = (
    Column("mig", "MIG", 3, "higher"),
    Column("dci_disentanglement", "DCI D", 3, "higher"),
    Column("dci_completeness", "DCI C", 3, "higher"),
    Column("dci_informativeness", "DCI I", 3, "higher"),
    Column("sap", "SAP", 3, "higher"),
    Column("modularity", "modularity", 3, "higher"),
    Column("explicitness", "explicitness", 3, "higher"),
    Column("factor_vae_score", "FactorVAE score", 3, "higher"),
    Column("beta_vae_score", "BetaVAE score", 3, "higher"),
)
USED = (Column("active_latents", "active latents", 2), Column("active_units", "active units", 1))


def _matched(rows: Sequence[Row]) -> Iterator[Table]:
    """The comparison at equal reconstruction, of each set of sprites."""
    own = [row for row in rows if row.experiment == EXPERIMENT]
    for variant, those in by_variant(own).items():
        table = matched_table(those, SCORES)
        if table.body:
            yield table._replace(title=f"{table.title}: {variant}")


LAYOUT = Experiment(
    EXPERIMENT,
    "Known factors: which latent moves with which?",
    "Sprites that were drawn from known factors; codes of the test images. All terms are sums, in "
    "nats. No beta is chosen: all that were trained are shown. At equal PSNR a model stands beside "
    "the beta-VAE of the same seed, interpolated over its betas.",
    (QUALITY[0], *SCORES, *USED),
    opening=_matched,
    figures=(draw_information, draw_traversals, draw_reconstructions),
)
