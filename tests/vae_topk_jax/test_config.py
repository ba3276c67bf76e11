"""The configuration refuses what cannot run, and survives a round trip."""

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_topk_jax.config import Config
from vae_topk_jax.scores import SCORES


@settings(max_examples=200, deadline=None)
@given(
    latent_dim=st.integers(1, 512),
    share=st.floats(0, 1),
    beta=st.floats(0, 1e3),
    widths=st.lists(st.integers(1, 2048), min_size=1, max_size=4),
    model=st.sampled_from(["vae", "beta_vae", "top_k_vae"]),
    seed=st.integers(0, 2**31 - 1),
    options=st.fixed_dictionaries(
        {
            "selection": st.sampled_from(["dimension", "sample"]),
            "score": st.sampled_from(sorted(SCORES)),
            "freeze_after": st.floats(0.5, 1),
            "hysteresis": st.floats(0, 10),
            "straight_through": st.booleans(),
            "nested": st.booleans(),
            "revival": st.floats(0, 10),
            "sensitivity_every": st.integers(0, 100),
            "kl_mode": st.sampled_from(["gaussian", "spike_and_slab"]),
            "kl_inactive": st.floats(0, 10),
        }
    ),
)
def test_json_round_trip(latent_dim, share, beta, widths, model, seed, options):
    config = Config(
        model=model,
        latent_dim=latent_dim,
        k=max(1, int(share * latent_dim)),
        beta=beta,
        widths=tuple(widths),
        seed=seed,
        **options,
    )
    again = Config.from_json(config.to_json())
    assert again == config
    assert hash(again) == hash(config)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "gan"),
        ("latent_dim", 0),
        ("latent_dim", 8.0),
        ("k", 0),
        ("k", 65),
        ("k", True),
        ("importance", "size"),
        ("selection", "row"),
        ("score", "size"),
        ("ema_decay", 1.0),
        ("ema_decay", float("nan")),
        ("k_anneal", -0.1),
        ("k_anneal", 1.5),
        ("k_anneal", float("nan")),
        ("freeze_after", 0.0),
        ("freeze_after", 1.5),
        ("freeze_after", float("nan")),
        ("hysteresis", -0.1),
        ("straight_through", 1),
        ("revival", float("inf")),
        ("nested", "yes"),
        ("sensitivity_every", -1),
        ("sensitivity_every", 0.5),
        ("kl_mode", "laplace"),
        ("kl_inactive", -1.0),
        ("threshold_start", -1),
        ("aux_weight", -0.1),
        ("aux_k", -1),
        ("dead_after", 0),
        ("beta", -1.0),
        ("beta", float("inf")),
        ("beta_warmup", 1.5),
        ("likelihood", "laplace"),
        ("pixel_reduction", "max"),
        ("body", "transformer"),
        ("widths", ()),
        ("widths", (512, 0)),
        ("widths", "512"),
        ("compute_dtype", "float16"),
        ("train_noise", -0.1),
        ("clip_noise", 1),
        ("optimizer", "lion"),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("warmup_steps", -1),
        ("batch_size", 0),
        ("epochs", 0),
        ("seed", -1),
        ("seed", 2**31),
        ("learning_rate", 10**400),
    ],
)
def test_a_bad_value_is_named_in_one_line(field, value):
    with pytest.raises(ValueError, match=rf"^{field} must be .*got ") as error:
        Config(**{field: value})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nested": True, "selection": "element"}, "nested must be False by element .*, got True"),
        ({"nested": True, "k_anneal": 0.5}, "nested must be False .* with k_anneal, got True"),
        (
            {"k_anneal": 0.6, "freeze_after": 0.5},
            "freeze_after must be .*from k_anneal .*, got 0.5",
        ),
    ],
)
def test_options_that_exclude_each_other_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        Config(**fields)


def test_k_may_exceed_the_latents_of_a_dense_model():
    assert Config(model="beta_vae", latent_dim=4).k == 8


def test_every_field_is_documented():
    """The command line takes its help from the strings under the fields."""
    import ast
    import inspect

    body = ast.parse(inspect.getsource(Config)).body[0].body
    documented = {
        before.target.id
        for before, after in itertools.pairwise(body)
        if isinstance(before, ast.AnnAssign)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
    }
    assert documented == {field.name for field in dataclasses.fields(Config)}


def test_unknown_fields_are_named():
    with pytest.raises(ValueError, match=r"unknown configuration fields \['depth'\]"):
        Config.from_json('{"depth": 3}')


@pytest.mark.parametrize("text", ["[]", "3"])
def test_json_of_another_kind_is_refused(text):
    with pytest.raises(ValueError, match="a configuration is a JSON object"):
        Config.from_json(text)
