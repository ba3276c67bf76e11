"""The configuration refuses what cannot run, knows whose a field is, and survives a round trip."""

import copy
import json
import pickle
from typing import Annotated, Any, ClassVar, get_args, get_origin

import jax.numpy as jnp
import numpy as np
import pytest
from annotated_types import Ge, Interval
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_topk_jax.config import Config, Training
from vae_topk_jax.fields import Field, fields_of
from vae_topk_jax.models import MODELS, VAE, BetaVAE, TopKVAE
from vae_topk_jax.models.registry import owners, settings_of
from vae_topk_jax.objectives import OBJECTIVES, SETTINGS

FOREIGN = sorted(
    {
        (model, field)
        for model in MODELS
        for other in MODELS.values()
        for field in settings_of(other).keys() - settings_of(MODELS[model]).keys()
    }
)


class Mine(BetaVAE):
    """A system that somebody wrote outside of the package."""

    fixed: ClassVar[frozenset[str]] = frozenset({"body"})

    depth: Annotated[int, Ge(1)] = 2
    """How deep."""

    def check(self) -> None:
        if self.depth > self.latent_dim:
            raise ValueError(f"depth must be at most latent_dim, got {self.depth}")


def values_of(field: Field) -> st.SearchStrategy[Any]:
    if field.kind == tuple[float, ...]:
        fractions = st.floats(0, 1, exclude_min=True, exclude_max=True)
        return st.lists(fractions, min_size=1, max_size=4, unique=True).map(sorted).map(tuple)
    if get_origin(field.kind) is tuple:
        return st.lists(st.integers(1, 2048), min_size=1, max_size=4).map(tuple)
    if field.kind is bool:
        return st.booleans()
    if field.kind is int:
        most = [c.le for c in field.constraints if isinstance(c, Interval) and c.le is not None]
        return st.integers(1, min([2**31 - 1, *most]))
    if field.kind is float:
        is_fraction = any(isinstance(constraint, Interval) for constraint in field.constraints)
        return st.floats(0, 1 if is_fraction else 1e3, exclude_min=True, exclude_max=True)
    return st.sampled_from(get_args(field.kind))


@st.composite
def of_objective(draw: st.DrawFn, objective: str, selection: str) -> dict[str, Any]:
    """What goes with an objective; the settings of the others are as they were."""
    own = OBJECTIVES[objective].settings
    fields = {name: getattr(VAE, name) for name in SETTINGS - {"objective", *own}}
    if objective == "info_vae":
        fields |= {"mmd_weight": draw(st.floats(1, 1e3)), "info_alpha": draw(st.floats(0, 1))}
    if objective == "iwae":
        fields |= {"pixel_reduction": "sum", "latent_reduction": "sum", "structural": 0.0}
        fields["train_refined"] = 0.0
        if selection != "dimension":
            fields |= {"objective": "elbo", "importance_samples": VAE.importance_samples}
    if objective in ("iwae", "wae"):
        fields["kl_inactive"] = 1.0
    if objective in ("rae", "wae"):
        fields["score"] = "abs_mu"
    return fields


@st.composite
def configs(draw: st.DrawFn) -> Config:
    model = draw(st.sampled_from(sorted(MODELS)))
    known = settings_of(MODELS[model]) | fields_of(Training)
    fields = {name: draw(values_of(field)) for name, field in known.items()}
    if "k" in fields:
        fields["k"] = draw(st.integers(1, fields["latent_dim"]))
    if "levels" in fields:
        size = st.integers(1, 2048)
        levels = draw(st.lists(size, min_size=2, max_size=4).map(tuple))
        fields |= {"levels": levels, "latent_dim": sum(levels)}
        fields["level_k"] = tuple(draw(st.integers(1, size)) for size in levels)
    if fields.get("nested"):
        fields |= {"selection": "sample", "k_anneal": 0.0}
    if fields.get("selection") == "slot":
        fields |= {"latent_dim": fields["k"] * draw(st.integers(1, 9)), "k_anneal": 0.0}
    if fields.get("likelihood") in ("gaussian", "bernoulli"):
        fields["standardize"] = "none"
    elif "structural" in fields:
        fields["structural"] = 0.0
    if fields.get("selection") != "element" and "cap" in fields:
        fields["cap"] = False
    if "classes" in fields:
        fields[draw(st.sampled_from(["classes", "attributes"]))] = 0
    if "objective" in fields:
        chosen = draw(of_objective(fields["objective"], fields.get("selection", "dimension")))
        fields |= {name: value for name, value in chosen.items() if name in known}
    if model == "sparse_generator" and "normal" in fields["likelihood"]:
        fields["likelihood"] = "squared_error"
    return Config(model, **fields)


@settings(deadline=None)
@given(configs())
def test_a_round_trip_gives_the_same_configuration(config):
    assert json.loads(config.to_json()) == config.to_dict()
    for again in (
        Config.from_json(config.to_json()),
        Config.from_saved(config.to_dict()),
        Config(config.model, seed=config.seed, **config.changed()),
        config.replace(),
        config.replace(model=config.model),
        pickle.loads(pickle.dumps(config)),
        copy.deepcopy(config),
    ):
        assert again == config
        assert hash(again) == hash(config)
        assert again.to_dict() == config.to_dict()


@pytest.mark.parametrize("model", MODELS)
def test_a_configuration_has_the_fields_of_its_system_and_of_training(model):
    config = Config(model)
    known = settings_of(MODELS[model]) | fields_of(Training)
    assert config.to_dict().keys() == {"model", *known}
    assert config.changed() == {}
    assert all(getattr(config, name) == field.default for name, field in known.items())


@pytest.mark.parametrize(("model", "field"), FOREIGN)
def test_a_field_of_another_system_is_refused_by_name(model, field):
    of = owners(field)
    message = f"^{field} is not a field of {model}; it belongs to {', '.join(of)}$"
    with pytest.raises(ValueError, match=message):
        Config(model, **{field: getattr(MODELS[of[0]], field)})
    assert not hasattr(Config(model), field)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (
            "latent_dims",
            r"^latent_dims is not a field of a configuration: did you mean latent_dim\?",
        ),
        ("depth", "^depth is not a field of a configuration: known are latent_dim, .*, seed$"),
        ("system", "^system is not a field"),
        ("image_shape", "^image_shape is not a field"),
        ("name", "^name is not a field"),
    ],
)
def test_a_field_that_never_was_is_named(field, message):
    with pytest.raises(ValueError, match=message):
        Config(**{field: 3})
    with pytest.raises(ValueError, match=message):
        Config.from_json(json.dumps({field: 3}))
    with pytest.raises(ValueError, match=message):
        Config().replace(**{field: 3})


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [
        ("top_k_vae", "latent_dim", 0),
        ("top_k_vae", "latent_dim", 8.0),
        ("top_k_vae", "k", 0),
        ("top_k_vae", "k", 65),
        ("top_k_vae", "k", True),
        ("top_k_vae", "importance", "size"),
        ("top_k_vae", "importance", len),
        ("top_k_vae", "selection", "row"),
        ("top_k_vae", "score", "size"),
        ("top_k_vae", "ema_decay", 1.0),
        ("top_k_vae", "ema_decay", float("nan")),
        ("top_k_vae", "k_anneal", -0.1),
        ("top_k_vae", "k_anneal", 1.5),
        ("top_k_vae", "nested", "yes"),
        ("top_k_vae", "sensitivity_every", -1),
        ("top_k_vae", "sensitivity_every", 0.5),
        ("top_k_vae", "kl_inactive", -1.0),
        ("batch_topk_sae", "k", 65),
        ("batch_topk_sae", "threshold_start", -1),
        ("batch_topk_sae", "aux_weight", -0.1),
        ("batch_topk_sae", "aux_k", -1),
        ("batch_topk_sae", "dead_after", 0),
        ("vsc", "k", 65),
        ("vsc", "vsc_prior", "vamp"),
        ("vsc", "pseudo_inputs", 0),
        ("vsc", "slab_warmup", 1.5),
        ("sparse_generator", "k", 65),
        ("sparse_generator", "inference_steps", 0),
        ("sparse_generator", "inference_step_size", 0.0),
        ("sparse_generator", "inference_step_size", float("inf")),
        ("sparse_generator", "spike_width", 0.0),
        ("sparse_generator", "spike_width", 1.0),
        ("beta_vae", "beta", -1.0),
        ("beta_vae", "beta", float("inf")),
        ("vae", "beta_warmup", 1.5),
        ("vae", "likelihood", "laplace"),
        ("vae", "pixel_reduction", "max"),
        ("vae", "body", "transformer"),
        ("vae", "widths", ()),
        ("vae", "widths", (512, 0)),
        ("vae", "widths", "512"),
        ("vae", "compute_dtype", "float16"),
        ("vae", "train_noise", -0.1),
        ("vae", "clip_noise", 1),
        ("vae", "optimizer", "lion"),
        ("vae", "learning_rate", 0.0),
        ("vae", "learning_rate", float("nan")),
        ("vae", "learning_rate", 10**400),
        ("vae", "warmup_steps", -1),
        ("vae", "batch_size", 0),
        ("vae", "batch_size", np.zeros((3, 3))),
        ("vae", "epochs", 0),
        ("vae", "seed", -1),
        ("vae", "seed", 2**31),
    ],
)
def test_a_bad_value_is_named_in_one_line(model, field, value):
    with pytest.raises(ValueError, match=rf"^{field} must be .*got ") as error:
        Config(model, **{field: value})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("model", ["gan", None, 3, ["vae"], TopKVAE], ids=str)
def test_a_system_that_is_not_there_is_named(model):
    for make in (Config, lambda model: Config().replace(model=model)):
        with pytest.raises(ValueError, match=r"^model must be one of \['batch_topk_sae', .*got "):
            make(model)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nested": True, "selection": "element"}, "nested must be False by element .*, got True"),
        (
            {"nested": True, "selection": "sample", "k_anneal": 0.5},
            "nested must be False .* with k_anneal, got True",
        ),
        ({"nested": True, "selection": "slot"}, "nested must be False .* by slot .*, got True"),
        ({"k_anneal": 0.5, "selection": "slot"}, "k_anneal must be 0 by slot, got 0.5"),
        ({"k": 7, "selection": "slot"}, "k must divide the 64 dimensions by slot, got 7"),
    ],
)
def test_options_that_exclude_each_other_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        Config(**fields)


def test_numbers_of_numpy_and_jax_and_integers_for_floats_become_plain():
    given = {"k": np.int64(4), "beta": 1, "epochs": jnp.asarray(3), "widths": [np.int32(8)]}
    config = Config(**given)
    assert config == Config(k=4, beta=1.0, epochs=3, widths=(8,))
    assert {type(getattr(config, name)) for name in given} == {int, float, tuple}
    assert Config.from_json(config.to_json()) == config


def test_a_linen_module_gives_its_fields():
    assert Config(TopKVAE(k=4, widths=[8, 4]), epochs=3) == Config(k=4, widths=(8, 4), epochs=3)
    assert Config(TopKVAE(k=4), k=2).k == 2
    assert Config().replace(model=TopKVAE(k=4), epochs=3) == Config(k=4, epochs=3)
    bound = TopKVAE(image_shape=(28, 28, 1), name="inner", k=4)
    assert Config(bound) == Config(k=4)


@pytest.mark.parametrize(
    ("system", "message"),
    [
        (TopKVAE(k=0), "^k must be at least 1, got 0"),
        (TopKVAE(k=65), "^k must .*got 65"),
        (TopKVAE(importance=len), r"^importance must be one of \['fixed', .*, got <built-in"),
        (VAE(beta=2.0), "^beta of vae must be 1.0, got 2.0"),
        (Mine(), "^model must be of a class in vae_topk_jax.models.MODELS, got Mine"),
    ],
    ids=["small k", "large k", "callable", "fixed field", "not registered"],
)
def test_a_linen_module_that_no_configuration_can_have_is_refused(system, message):
    with pytest.raises(ValueError, match=message):
        Config(system)


def test_a_system_of_ones_own_is_one_line_in_the_registry(monkeypatch):
    monkeypatch.setitem(MODELS, "mine", Mine)
    config = Config("mine", depth=3, beta=0.5)
    assert config == Config(Mine(depth=3, beta=0.5))
    assert Config.from_json(config.to_json()) == config
    assert config.changed() == {"depth": 3, "beta": 0.5}
    assert config.replace(model="beta_vae") == Config("beta_vae", beta=0.5)
    with pytest.raises(ValueError, match="depth must be at least 1, got 0"):
        config.replace(depth=0)
    with pytest.raises(ValueError, match="depth must be at most latent_dim, got 65"):
        config.replace(depth=65)
    with pytest.raises(ValueError, match="body is not a field of mine; it belongs to vae, "):
        config.replace(body="conv")
    with pytest.raises(ValueError, match="depth is not a field of vsc; it belongs to mine"):
        Config("vsc", depth=3)


def test_another_system_keeps_the_fields_that_it_has():
    config = Config(k=4, selection="sample", beta=0.5, widths=(8,), epochs=3, seed=2)
    assert config.replace(model="vsc") == Config(
        "vsc", k=4, beta=0.5, widths=(8,), epochs=3, seed=2
    )
    assert config.replace(model="vae", beta_warmup=0.0) == Config(
        "vae", widths=(8,), epochs=3, seed=2, beta_warmup=0.0
    )
    with pytest.raises(ValueError, match="selection is not a field of vsc"):
        config.replace(model="vsc", selection="sample")


def test_changed_fields_are_those_that_are_not_at_their_defaults():
    assert Config(k=4, beta=0.001, epochs=3, seed=5).changed() == {"k": 4, "epochs": 3}
    assert repr(Config("vsc", k=4, seed=5)) == "Config('vsc', k=4, seed=5)"


def test_configurations_are_equal_where_their_fields_are():
    assert len({Config(), Config("top_k_vae"), Config(k=8), Config(k=4), Config("vsc")}) == 3
    assert Config("beta_vae") != Config("vae") != "vae"


def test_a_configuration_is_frozen():
    for field in ("k", "epochs", "system", "depth"):
        with pytest.raises(AttributeError):
            setattr(Config(), field, 3)
    for field in ("depth", "image_shape", "__deepcopy__"):
        with pytest.raises(AttributeError, match=f"this configuration has no field '{field}'"):
            getattr(Config(), field)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected a JSON object, got list"),
        ("3", "expected a JSON object, got int"),
        ("{", "Expecting property name"),
        ('{"k": NaN}', "NaN is not a finite number"),
        ("[" * 100_000, "nested deeper than 32 levels"),
        ('{"self": 1}', "self is not a field of a configuration"),
        ('{"k\\n": 1}', r"'k\\n' is not a field of a configuration"),
    ],
)
def test_json_of_another_kind_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Config.from_json(text)
