"""The models of the tables."""

from experiments.study.lineup import trained_models
from vae_topk_jax.config import Config


def test_every_model_of_a_table_is_a_valid_configuration():
    configs = [Config(**fields) for fields in trained_models(256, 4).values()]
    assert [config.latent_dim for config in configs] == [256] * 7 + [4]
    assert len(set(configs)) == len(configs)
