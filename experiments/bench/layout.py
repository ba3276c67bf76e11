"""How the report shows the bench's rows."""

from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column

_MS = Column("ms", "a call", 3, "lower", "ms")

EXPERIMENTS = (
    Experiment(
        "bench_machine",
        "Speed: what the machine can do",
        "Products as they stand in a training step of the model, and a large square one.",
        {
            "": (
                Column("gflops", "rate", 1, "higher", "GFLOP/s"),
                Column("best_gflops", "fastest round", 1, "higher", "GFLOP/s"),
                Column("gbytes_per_second", "bandwidth", 1, "higher", "GB/s"),
            )
        },
    ),
    Experiment(
        "bench_training",
        "Speed: training",
        "One epoch of each contestant in turn. Shares: the time of the epoch's matrix products "
        "alone over that of the epoch; the epoch's rate over that of a large square product.",
        {
            "": (
                Column("examples_per_second", "examples a second", 0, "higher"),
                Column("seconds_epoch", "an epoch", 3, "lower", "s"),
                Column("over_beta", "over beta-VAE", 3, "lower"),
                Column("gflops", "rate", 1, "higher", "GFLOP/s"),
                Column("share_of_products", "share of its products' rate", 3, "higher"),
                Column("share_of_square", "share of the square product's", 3, "higher"),
            )
        },
    ),
    Experiment(
        "bench_profile",
        "Speed: where the time of a step goes",
        "Milliseconds of all operations of a step; those that run side by side count in full.",
        {"": (Column("ms_step", "a step", 3, "neither", "ms"), Column("share", "share", 3))},
    ),
    Experiment(
        "bench_bottleneck",
        "Speed: the bottleneck alone",
        "The layer in training on an array (B, D), forward pass and statistics.",
        {"": (_MS, Column("over_multiply", "over multiply", 2, "lower"))},
    ),
    Experiment(
        "bench_threshold",
        "Speed: the threshold by element",
        "The mask of the B k largest of B D scores; all give the same mask.",
        {"": (_MS,)},
    ),
    Experiment(
        "bench_decoding",
        "Speed: decoding k of many latents",
        "",
        {"": (_MS, Column("over_dense", "over dense", 2, "lower"))},
    ),
    Experiment(
        "bench_dictionary",
        "Speed: a training step of a dictionary",
        "A BatchTopK SAE; its rate counts five products of a batch by inputs by latents.",
        {
            "": (
                _MS,
                Column("gflops", "rate", 1, "higher", "GFLOP/s"),
                Column("share_of_square", "share of the square product's", 3, "higher"),
            )
        },
    ),
    Experiment(
        "bench_serving",
        "Speed: a trained model",
        "",
        {"": (_MS, Column("images_per_second", "images a second", 0, "higher"))},
    ),
    Experiment(
        "bench_load",
        "Speed: a served model under load",
        "An exported model behind HTTP on the loopback address; server and clients share the "
        "machine, images travel as JSON.",
        {
            "": (
                Column("ms", "a request, median", 2, "lower", "ms"),
                Column("ms_99", "99 %", 2, "lower", "ms"),
                Column("requests_per_second", "requests a second", 0, "higher"),
                Column("images_per_second", "images a second", 0, "higher"),
            )
        },
    ),
    Experiment(
        "bench_restoring",
        "Speed: reading a checkpoint",
        "From the folder to the state; verified: after comparing SHA-256 sums of all its files.",
        {"": (_MS, Column("megabytes", "on disk", 1, "neither", "MB"))},
    ),
    Experiment(
        "bench_startup",
        "Speed: starting",
        "Processes of their own, from their start to their end.",
        {
            "": (
                Column("seconds", "median", 2, "lower", "s"),
                Column("fastest", "fastest", 2, "lower", "s"),
            )
        },
    ),
    Experiment(
        "bench_memory",
        "Peak memory of an epoch",
        "",
        {
            "": (
                Column("peak_mib", "memory", 0, "lower", "MiB"),
                Column("peak_device_mib", "device memory", 0, "lower", "MiB"),
            )
        },
    ),
    Experiment(
        "bench_growth",
        "Speed: growth",
        "Examples a second in training.",
        {
            "": (
                Column("examples_per_second_beta", "beta-VAE", 0),
                Column("examples_per_second_dimension", "Top-K by dimension", 0),
                Column("examples_per_second_element", "Top-K by element", 0),
            )
        },
    ),
    Experiment(
        "bench_seeds",
        "Speed: several seeds",
        "An epoch of all of them.",
        {
            "": (
                Column("seconds_together", "together", 2, "neither", "s"),
                Column("seconds_in_turn", "one after another", 2, "neither", "s"),
                Column("together_over_in_turn", "time ratio", 2),
            )
        },
    ),
    Experiment(
        "bench_exchanges",
        "What eight devices exchange in a step",
        "Counted in the compiled program. In a branch: only where scores tie for the last places, "
        "where latents are dead, or when the sensitivity is estimated.",
        {
            "": (
                Column("all_reduces", "all-reduces", 0, "lower"),
                Column("all_reduce_bytes", "bytes reduced", 0, "lower"),
                Column("all_gathers", "all-gathers", 0, "lower"),
                Column("all_gather_bytes", "bytes gathered", 0, "lower"),
                Column("all_reduces_in_branches", "all-reduces in a branch", 0, "lower"),
                Column("all_gather_bytes_in_branches", "bytes gathered in a branch", 0, "lower"),
            )
        },
    ),
)
