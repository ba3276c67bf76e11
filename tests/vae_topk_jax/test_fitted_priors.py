"""Priors beside their model: kept, found again, refused where they are of other weights."""

import copy
import dataclasses
import errno
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from tests.helpers.runs import untrained
from vae_topk_jax import export_model, load, load_exported, load_weights, manifest
from vae_topk_jax.checkpoint import save_checkpoint
from vae_topk_jax.data import to_unit_float
from vae_topk_jax.fitted_priors import Fitted, save_priors
from vae_topk_jax.inference import Inference
from vae_topk_jax.metrics import kernel_distance
from vae_topk_jax.priors import autoregressive, flow, mixture, two_stage
from vae_topk_jax.priors.arrays import from_arrays, to_arrays
from vae_topk_jax.priors.autoregressive import Autoregressive
from vae_topk_jax.priors.flow import Flow
from vae_topk_jax.priors.prior import Examples, draw, draw_labelled
from vae_topk_jax.priors.registry import PRIORS, settings_of
from vae_topk_jax.tensor_files import write_tensors

KEY = jax.random.key(7)
TINY = {
    "vamp": {"pseudo_codes": 5, "rounds": 1},
    "two_stage": {"width": 4},
    "flow": {"width": 4, "blocks": 1},
    "autoregressive": {"width": 4, "blocks": 1, "components": 2},
}


_init = linen.Module.init


def shapes_alone(module: linen.Module, *inputs):
    """Parameters that are zero, without a program that draws them."""
    shapes = jax.eval_shape(functools.partial(_init, module), *inputs)
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


def supports_of(codes) -> set[bytes]:
    return {row.tobytes() for row in np.asarray(codes) != 0}


@pytest.fixture(scope="module")
def x(blobs) -> np.ndarray:
    return to_unit_float(blobs.train_images)


@pytest.fixture(scope="module")
def model(blobs, x) -> Inference:
    """With a prior of its own and one that is fitted."""
    model = untrained(blobs, selection="sample")
    model.fit_prior(x, "patterns")
    return model


@pytest.fixture
def run(model, tmp_path):
    save_checkpoint(tmp_path / "checkpoints", model.state, model.info)
    save_priors(model.priors, tmp_path, model.variables)
    return tmp_path


def test_the_nearest_prior_is_drawn_from_whatever_the_order_of_fitting(blobs, x, tmp_path):
    model = untrained(blobs, selection="element")
    fitted = {name: model.fit_prior(x, name, **TINY.get(name, {})) for name in ("patterns", "vamp")}
    reconstructed = np.asarray(model.reconstruct(x)).reshape(512, -1)
    for name in fitted:
        drawn = model.generate(jax.random.key(0), 512, prior=name)
        expected = kernel_distance(np.asarray(drawn).reshape(512, -1), reconstructed)
        assert model.priors.fitted[name].distance == pytest.approx(expected, rel=1e-6)
    save_checkpoint(tmp_path / "checkpoints", model.state, model.info)
    for nearest in fitted:
        for name, prior in fitted.items():
            model.priors.add(Fitted(prior, {}, 0.5 if name == nearest else 1.0))
        save_priors(model.priors, tmp_path, model.variables)
        for found in (model, load(tmp_path)):
            codes = found.sample_codes(KEY, 3)
            np.testing.assert_array_equal(codes, model.sample_codes(KEY, 3, nearest))


def test_a_fitted_prior_is_drawn_from_and_the_others_by_name(model, x):
    own = model.generate(KEY, 4, prior="frequency")
    fitted = model.generate(KEY, 4)
    assert not np.array_equal(own, fitted)
    codes = model.sample_codes(KEY, 4)
    np.testing.assert_array_equal(codes, model.sample_codes(KEY, 150)[:4])
    np.testing.assert_array_equal(fitted, model.generate(KEY, 4, prior="patterns"))
    np.testing.assert_array_equal(fitted, model.decode(codes))
    np.testing.assert_array_equal(fitted, copy.deepcopy(model).generate(KEY, 4))
    assert supports_of(model.sample_codes(KEY, 50)) <= supports_of(model.encode(x))


@pytest.mark.long
def test_a_prior_comes_back_with_its_run_and_with_model_files(model, run):
    expected = model.generate(KEY, 3)
    for place in (run, run / "checkpoints", run / "checkpoints" / "00000000"):
        np.testing.assert_array_equal(load(place).generate(KEY, 3), expected)
    folder = export_model(load(run), run / "exported")
    exported = load_exported(folder, verify=False)
    np.testing.assert_allclose(exported.generate(KEY, 3), expected, atol=1e-6)
    np.testing.assert_array_equal(load_weights(folder).generate(KEY, 3), expected)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        exported.generate(KEY, 0)
    with pytest.raises(ValueError, match="key must be of kind threefry2x32, got rbg"):
        exported.generate(jax.random.key(0, impl="rbg"), 1)


@pytest.fixture(scope="module")
def with_classes(blobs, x) -> Inference:
    model = untrained(blobs, selection="sample", classes=4)
    model.fit_prior(x, "patterns", label=blobs.train_labels)
    return model


def test_codes_are_of_the_class_that_is_asked_for(with_classes, blobs, x):
    model, label_N = with_classes, blobs.train_labels
    codes = np.asarray(model.encode(x, label=label_N))
    assert supports_of(codes[label_N == 0]) - supports_of(codes[label_N == 1])
    for label in range(4):
        drawn = model.sample_codes(KEY, 200, label=label)
        assert supports_of(drawn) <= supports_of(codes[label_N == label])
        expected = model.decode(drawn[:3], label=label)
        np.testing.assert_array_equal(model.generate(KEY, 3, label=label), expected)
    of_each = model.sample_codes(KEY, 200, label=np.arange(200) % 4)
    np.testing.assert_array_equal(of_each[3::4], drawn[3::4])
    any_class = draw_labelled(model.priors.find(), KEY, 200)
    assert {*np.asarray(any_class.class_N).tolist()} == {0, 1, 2, 3}
    expected = model.decode(any_class.z_NxD, label=any_class.class_N)
    np.testing.assert_array_equal(model.sample_codes(KEY, 200), any_class.z_NxD)
    np.testing.assert_array_equal(model.generate(KEY, 200), expected)
    np.testing.assert_array_equal(model.generate(KEY, 150), expected[:150])
    with pytest.raises(ValueError, match=r"each of the 4 classes in some example, got none of \[3"):
        model.fit_prior(x, "patterns", label=np.minimum(label_N, 2))


@pytest.mark.long
def test_a_prior_that_was_fitted_without_classes_draws_the_same_for_each(blobs, x):
    model = untrained(blobs, selection="sample", classes=4)
    model.fit_prior(x, "patterns")
    np.testing.assert_array_equal(model.sample_codes(KEY, 3, label=2), model.sample_codes(KEY, 3))


@pytest.mark.long
def test_a_prior_of_a_model_with_attributes_is_of_all_codes(blobs, x):
    model = untrained(blobs, selection="sample", attributes=2)
    attributes = np.linspace([-1, 2], [1, 0], len(x))
    model.fit_prior(x, "patterns", label=attributes)
    assert model.priors.fitted["patterns"].prior.classes == 1
    np.testing.assert_array_equal(
        model.sample_codes(KEY, 3, label=[0.0, 1.0]), model.sample_codes(KEY, 3)
    )


@pytest.mark.long
@pytest.mark.parametrize("fitted_with", [True, False])
def test_an_exported_prior_draws_the_classes(with_classes, blobs, x, tmp_path, fitted_with):
    model = with_classes
    if not fitted_with:
        model = untrained(blobs, selection="sample", classes=4)
        model.fit_prior(x, "patterns")
    folder = export_model(model, tmp_path / "exported")
    exported, again = load_exported(folder, verify=False), load_weights(folder)
    for label in (None, 1, np.arange(150) % 4):
        expected = model.generate(KEY, 150, label=label)
        found = exported.generate(KEY, 150, label=label)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        np.testing.assert_array_equal(again.generate(KEY, 150, label=label), expected)


def test_an_earlier_prior_stays_where_a_new_one_cannot_be_written(model, run, monkeypatch):
    def fail(*_) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    expected = model.generate(KEY, 2)
    monkeypatch.setattr("vae_topk_jax.fitted_priors.write_tensors", fail)
    with pytest.raises(OSError, match="No space left"):
        save_priors(model.priors, run, model.variables)
    np.testing.assert_array_equal(load(run).generate(KEY, 2), expected)


def test_a_prior_of_other_weights_is_refused_when_it_is_drawn_from(model, run):
    further = jax.tree.map(lambda leaf: leaf + 1, model.state.params)
    state = dataclasses.replace(model.state, params=further, step=jnp.int32(9))
    save_checkpoint(run / "checkpoints", state, model.info)
    again = load(run)
    for prior in (None, "patterns"):
        with pytest.raises(ValueError, match="patterns was fitted to other weights: fit it again"):
            again.generate(KEY, 1, prior=prior)
    assert again.generate(KEY, 1, prior="frequency").shape == (1, 12, 12, 1)
    with pytest.raises(ValueError, match="prior must be 'frequency' or one that was fitted"):
        again.generate(KEY, 1, prior="flow")


def test_a_prior_of_another_format_is_refused_when_it_is_drawn_from(run):
    folder = run / "priors" / "patterns"
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps(about | {"format": 2}))
    manifest.write_manifest(folder)
    with pytest.raises(ValueError, match="has format 2, this version reads 3: fit it again"):
        load(run).generate(KEY, 1)


def spoil_distance(about: dict) -> None:
    about["distance"] = "near"


def spoil_name(about: dict) -> None:
    about["prior"] = "flow"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_distance, "distance must be a number, got 'near'"),
        (spoil_name, r"must hold \['bits', .*\] of its prior, got \['class_P'"),
    ],
)
def test_what_another_program_wrote_is_refused(run, spoil, message):
    folder = run / "priors" / "patterns"
    about = json.loads((folder / "about.json").read_text())
    spoil(about)
    (folder / "about.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=r"about\.json is damaged"):
        load(run)
    manifest.write_manifest(folder)
    with pytest.raises(ValueError, match=message):
        load(run)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("mean_YxD", np.zeros((1, 3), np.float32), "holds no such prior: "),
        ("mean_YxD", np.full((1, 8), np.nan, np.float32), "mean_YxD in .* must be finite"),
        ("mean_YxD", np.zeros((1, 8)), "mean_YxD in .* must be F32 or I32 or BOOL, got F64"),
        ("mean_YxD", np.zeros((2, 8), np.float32), "must be of 0 classes or none, got 2"),
        ("more", np.zeros(8, np.float32), "must hold .* of its prior, got .*'more'"),
    ],
)
def test_arrays_that_are_no_prior_are_refused(model, run, name, array, message):
    folder = run / "priors" / "patterns"
    arrays = to_arrays(model.priors.find("patterns")) | {name: array}
    write_tensors(folder / "prior.safetensors", arrays)
    manifest.write_manifest(folder)
    with pytest.raises(ValueError, match=message):
        load(run)


@pytest.mark.long
@pytest.mark.parametrize("name", PRIORS)
def test_every_prior_is_kept_exactly(sparse_codes, tmp_path, monkeypatch, name):
    monkeypatch.setattr(mixture, "CANDIDATES", (("full", 1),))
    monkeypatch.setattr(linen.Module, "init", shapes_alone)
    for module in (autoregressive, flow, two_stage):
        monkeypatch.setattr(module, "minimise", lambda loss, params, *data, **options: params)
    prior = PRIORS[name].fit(Examples.of(sparse_codes[:50]), KEY, **TINY.get(name, {}))
    again = from_arrays(PRIORS[name], to_arrays(prior), tmp_path)
    assert jax.tree.structure(again) == jax.tree.structure(prior)
    for a, b in zip(*map(jax.tree.leaves, (again, prior)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    assert jax.eval_shape(lambda prior: draw(prior, KEY, 2), again).shape == (2, 8)


@pytest.mark.long
@pytest.mark.parametrize(("selection", "kind"), [("slot", Autoregressive), ("element", Flow)])
def test_a_prior_that_is_not_named_suits_the_latents(blobs, x, selection, kind):
    model = untrained(blobs, selection=selection)
    with pytest.raises(ValueError, match="has no setting 'rounds'"):
        model.fit_prior(x, rounds=2)
    assert type(model.fit_prior(x, width=4, blocks=1, steps=1)) is kind


@pytest.mark.parametrize(
    ("prior", "settings", "message"),
    [
        ("frequency", {}, "prior must be one of .*, got 'frequency'"),
        ("patterns", {"steps": 5}, r"patterns has no setting 'steps': expected one of \[\]"),
        ("flow", {"steps": 0}, "steps must be a positive int, got 0"),
        ("flow", {"learning_rate": 1}, "learning_rate must be a positive float, got 1"),
    ],
)
def test_settings_are_checked_before_anything_is_encoded(model, prior, settings, message):
    with pytest.raises(ValueError, match=message):
        model.fit_prior(None, prior, **settings)
    assert all(settings_of(name) or name in ("patterns", "mixture") for name in PRIORS)
