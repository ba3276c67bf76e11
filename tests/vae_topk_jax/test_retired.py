"""What was removed: refused by name, and left out of old files where it had no effect."""

import pytest

from vae_topk_jax.config import Config, Training
from vae_topk_jax.fields import fields_of
from vae_topk_jax.importance import IMPORTANCES
from vae_topk_jax.models import MODELS
from vae_topk_jax.models.registry import owners
from vae_topk_jax.retired import FIELDS, LAST_VERSION
from vae_topk_jax.retired import IMPORTANCES as REMOVED_IMPORTANCES

HAD_AN_EFFECT = {
    "straight_through": True,
    "freeze_after": 0.5,
    "hysteresis": 0.1,
    "revival": 0.1,
    "kl_mode": "spike_and_slab",
}


def every_field(model: str) -> dict:
    """The configuration of a system as version 0.1.0 wrote it: with the fields of all of them."""
    neutral = {name: retired.neutral for name, retired in FIELDS.items()}
    others = [Config(name).to_dict() for name in MODELS]
    return {name: value for fields in others for name, value in fields.items()} | (
        neutral | Config(model, seed=7).to_dict()
    )


def test_what_was_removed_is_nowhere_in_use():
    assert FIELDS.keys() == HAD_AN_EFFECT.keys()
    assert not any(owners(name) or name in fields_of(Training) for name in FIELDS)
    assert not REMOVED_IMPORTANCES.keys() & IMPORTANCES.keys()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("field", FIELDS)
def test_a_removed_field_is_refused_by_name_whatever_its_value(model, field):
    for value in (FIELDS[field].neutral, HAD_AN_EFFECT[field], None):
        with pytest.raises(
            ValueError, match=rf"^{field} was removed after version {LAST_VERSION}: "
        ):
            Config(model, **{field: value})


@pytest.mark.parametrize("model", MODELS)
def test_an_old_file_is_read_without_the_fields_of_others(model):
    old = every_field(model)
    assert old.keys() >= {*FIELDS, "vsc_prior", "aux_k", "spike_width", "nested"}
    assert Config.from_saved(old) == Config(model, seed=7)
    if model != "top_k_vae":
        assert Config.from_saved(old | HAD_AN_EFFECT) == Config(model, seed=7)


def test_an_old_file_without_a_name_is_of_the_batch_top_k_vae():
    assert Config.from_saved({"k": 4, "aux_k": 3}) == Config(k=4)


@pytest.mark.parametrize(("field", "value"), HAD_AN_EFFECT.items())
def test_an_old_file_in_which_a_removed_field_had_an_effect_is_refused(field, value):
    with pytest.raises(ValueError, match=rf"^{field} was removed after version {LAST_VERSION}: "):
        Config.from_saved(every_field("top_k_vae") | {field: value})


@pytest.mark.parametrize("name", REMOVED_IMPORTANCES)
def test_a_removed_importance_is_refused_by_name(name):
    message = rf"^importance '{name}' was removed after version {LAST_VERSION}: "
    with pytest.raises(ValueError, match=message):
        Config(importance=name)
    with pytest.raises(ValueError, match=message):
        Config.from_saved(every_field("top_k_vae") | {"importance": name})


def test_a_field_that_never_was_is_refused_in_an_old_file_as_well():
    with pytest.raises(ValueError, match=r"latent_dims is not .*: did you mean latent_dim\?"):
        Config.from_saved({"latent_dims": 3})
