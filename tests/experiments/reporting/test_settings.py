"""Settings of a report, each written once."""

import dataclasses

from experiments.records.settings import changed_settings
from experiments.reporting.settings import describe_settings
from tests.helpers.report_rows import make_row
from vae_topk_jax import Config


def row(title, variant, seed, config):
    made = make_row("table1", variant, title, seed, {})
    return dataclasses.replace(made, config=config | {"samples": 9})


def trained(title, variant, seed, model, **fields):
    return row(title, variant, seed, Config(model, epochs=2, seed=seed, **fields).to_dict())


def test_what_all_share_is_written_once_and_defaults_never():
    rows = [
        trained(title, variant, seed, model, latent_reduction=reduction, **fields)
        for variant, reduction in (("averaged", "mean"), ("summed", "sum"))
        for title, model, fields in (("beta", "beta_vae", {}), ("Top-K", "top_k_vae", {"k": 4}))
        for seed in (0, 1)
    ]
    lines = list(describe_settings([*rows, row("PCA", "averaged", None, {"components": 8})]))
    assert lines == [
        "all trained models: epochs=2 samples=9",
        "summed: latent_reduction=sum",
        "beta: model=beta_vae",
        "Top-K: model=top_k_vae k=4",
        "all others: components=8 samples=9",
    ]


def test_the_fields_of_every_system_are_known():
    config = Config("vsc", vsc_prior="fixed").to_dict()
    assert changed_settings(config) == {"model": "vsc", "vsc_prior": "fixed"}


def test_settings_of_an_unknown_system_stay_as_they_are():
    assert changed_settings({"model": "mine", "k": 8, "seed": 3}) == {"model": "mine", "k": 8}
