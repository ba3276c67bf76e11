"""The experiment of supports: choices on held-out images, the chosen one on the test images."""

import pytest

from experiments import supports
from experiments.supports import CHOICE, SLOT, variants
from vae_topk_jax.config import Config


def test_every_variant_is_a_valid_configuration_of_its_own():
    configs = [Config(**fields) for fields in variants().values()]
    assert len(set(configs)) == len(configs)


@pytest.mark.long
def test_variants_are_compared_on_held_out_images_and_the_chosen_one_on_test_images(study):
    (chosen,) = supports.rows(study, "choice", only=f"{CHOICE}: slot, no")
    final = {row.place.model: row for row in supports.rows(study, "final", only="512/256")}
    assert chosen.data["measured"] == "validation"
    assert chosen.config["validation"] == chosen.data["test"] == study.budget.validation
    assert not {"measured", "validation"} & {*final[SLOT].data, *final[SLOT].config}

    study.measure([chosen])
    (row,) = study.results.rows
    fewest, most = row.metrics["fewest_latents"], row.metrics["most_latents"]
    assert fewest == row.metrics["active_latents"] == most == 8
    assert 1 <= row.metrics["supports"] <= row.data["test"]
