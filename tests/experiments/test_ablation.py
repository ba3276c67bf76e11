"""The variants of the ablation."""

import pytest

from experiments import ablation
from experiments.ablation import variants
from experiments.study.study import Study
from vae_topk_jax.config import Config

pytestmark = pytest.mark.usefixtures("quick_compile")


def test_every_variant_of_the_ablation_is_a_valid_configuration_of_its_own():
    configs = [Config(**fields) for fields in variants().values()]
    assert len(set(configs)) == len(configs) > 20


def test_the_ablation_measures_what_it_is_asked_for_and_the_baseline(study, monkeypatch):
    titles = []
    monkeypatch.setattr(
        Study,
        "measure_trained",
        lambda self, experiment, variant, title, *_, **__: titles.append(title),
    )
    ablation.run(study, only="sample: |mu|, n")
    assert titles == ["beta-VAE", "sample: |mu|, nested"]
