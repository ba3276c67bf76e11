"""The variants of the ablation."""

from experiments import ablation
from experiments.ablation import variants
from vae_topk_jax.config import Config


def test_every_variant_of_the_ablation_is_a_valid_configuration_of_its_own():
    configs = [Config(**fields) for fields in variants().values()]
    assert len(set(configs)) == len(configs) > 20


def test_the_ablation_measures_what_it_is_asked_for_and_the_baselines(study):
    titles = [row.place.model for row in ablation.rows(study, only="sample: |mu|, n")]
    assert titles == ["beta-VAE", "sample: |mu|, nested", "PCA, 8 components"]
