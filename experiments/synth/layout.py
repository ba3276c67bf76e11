"""How the study of known features is shown."""

from experiments.reporting.columns import EXPLAINED_VARIANCE
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from experiments.synth.rows import EXPERIMENT

LAYOUT = Experiment(
    EXPERIMENT,
    "Known features: does a dictionary find them?",
    "Vectors are sums of known directions, as in SynthSAEBench. Each latent is judged by the "
    "feature nearest to it; MCC matches them one to one.",
    (
        Column("f1", "F1", 4, "higher"),
        Column("precision", "precision", 4, "higher"),
        Column("recall", "recall", 4, "higher"),
        Column("mcc", "MCC", 4, "higher"),
        Column("uniqueness", "uniqueness", 4, "higher"),
        EXPLAINED_VARIANCE,
        Column("shrinkage", "shrinkage", 3),
        Column("active_latents", "active latents", 2),
        Column("dead_latents", "dead latents", 1, "lower"),
        Column("stability", "stability over seeds", 4, "higher"),
        Column("samples_per_second", "trained", 0, "higher", "samples/s"),
    ),
)
