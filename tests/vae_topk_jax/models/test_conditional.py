"""Models that are given the class of an image: what they make of it, wherever it goes."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.helpers.models import SUMS
from tests.helpers.runs import SMALL, bits, trainer_of
from vae_topk_jax import Config, fit, load
from vae_topk_jax.data import Rows, to_unit_float
from vae_topk_jax.export import export_model, load_exported
from vae_topk_jax.inference import Inference
from vae_topk_jax.sharding import make_mesh
from vae_topk_jax.training_inputs import labels_of

CONFIG = Config(
    latent_dim=8,
    k=2,
    widths=(32,),
    batch_size=64,
    epochs=25,
    sensitivity_every=0,
    learning_rate=0.01,
    latent_reduction="sum",
    beta=0.003,
    classes=4,
)


@pytest.fixture(scope="module")
def model(blobs) -> Inference:
    return fit(blobs.train_images, CONFIG, labels=blobs.train_labels, progress=False)


def places(images) -> np.ndarray:
    """In which quarter of an image its spot is: the class of the blobs."""
    quarters = np.asarray(images).reshape(-1, 2, 6, 2, 6).sum(axis=(2, 4))
    return quarters.reshape(-1, 4).argmax(axis=1)


def test_images_are_of_the_class_that_was_asked_for(model):
    label = np.arange(200) % 4
    asked = places(model.generate(jax.random.key(0), 200, label=label))
    assert np.mean(asked == label) > 0.95
    free = places(model.generate(jax.random.key(0), 200))
    assert len(set(free.tolist())) > 1


def test_what_an_image_gives_depends_on_its_own_label_alone(model, blobs):
    x, label = to_unit_float(blobs.test_images[:5]), blobs.test_labels[:5]
    codes = np.asarray(model.encode(x, label=label))
    for i in range(2):
        alone = model.encode(x[i : i + 1], label=label[i])[0]
        np.testing.assert_allclose(alone, codes[i], atol=1e-6)
    assert np.abs(codes - model.encode(x)).max() > 1e-3
    decoded = np.asarray(model.decode(codes, label=label))
    np.testing.assert_allclose(model.reconstruct(x, label=label), decoded, atol=1e-6)
    np.testing.assert_array_equal(places(decoded), label)
    assert np.abs(decoded - model.decode(codes)).max() > 1e-2
    with pytest.raises(ValueError, match="label must lie between 0 and 3"):
        model.latents(x, label=4)


@pytest.mark.long
def test_images_have_the_attributes_that_were_asked_for(blobs, tmp_path):
    """The attributes of a spot are its row and column, as -1 and 1."""
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], np.float32)
    config = CONFIG.replace(classes=0, attributes=2)
    model = fit(
        blobs.train_images,
        config,
        labels=corners[blobs.train_labels],
        test=blobs.test_images,
        test_labels=corners[blobs.test_labels],
        progress=False,
    )
    label = np.arange(200) % 4
    asked = places(model.generate(jax.random.key(0), 200, label=corners[label]))
    assert np.mean(asked == label) > 0.95
    exported = load_exported(export_model(model, tmp_path / "model"), verify=False)
    x = to_unit_float(blobs.test_images[:5])
    for given in (None, corners[3], corners[blobs.test_labels[:5]]):
        codes = model.encode(x, label=given)
        np.testing.assert_allclose(exported.encode(x, label=given), codes, atol=1e-6)
    with pytest.raises(ValueError, match=r"label must be numbers of shape \(5, 2\)"):
        exported.encode(x, label=4)


@pytest.mark.long
def test_a_step_takes_the_labels_of_its_images_wherever_they_are(blobs):
    trainer = trainer_of(blobs, SMALL.replace(epochs=2, classes=4))
    labels, images = blobs.train_labels, blobs.train_images
    rows = Rows([images], ["a"])
    state = next(trainer.epochs(trainer.init(), rows, segment=4, labels=labels)).state
    *_, resumed = trainer.epochs(state, rows, segment=4, labels=labels)
    *_, read = trainer.epochs(trainer.init(), rows, segment=4, labels=labels)
    assert bits(read.state) == bits(resumed.state)

    spread = dataclasses.replace(trainer, mesh=make_mesh())
    *_, last = spread.epochs(spread.init(), images, segment=4, labels=labels)
    for one, other in zip(
        jax.tree.leaves(last.state.params), jax.tree.leaves(read.state.params), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize(
    "fields",
    [
        {"selection": "slot"},
        {"mask_input": True, "selection": "sample", "label_dropout": 0.5},
        {"model": "factor_vae"},
        {"model": "vaease"},
        {"model": "vae", "objective": "iwae", "importance_samples": 2, "classes": 0}
        | {"attributes": 3, **SUMS},
    ],
)
def test_every_kind_of_code_has_a_condition(blobs, fields):
    small = {"latent_dim": 8, "widths": (16,), "batch_size": 64, "epochs": 1, "classes": 4}
    sparse = {"k": 2} if "selection" in fields else {}
    config = Config(**{"model": "top_k_vae"} | small | sparse | fields)
    trainer = trainer_of(blobs, config)
    label = labels_of(config).of((64,))
    x = jax.ShapeDtypeStruct((64, 12, 12, 1), np.float32)
    state = trainer.abstract_state()
    _, terms = jax.eval_shape(trainer.train_step, state, x, None, label)
    assert "loss" in terms
    for method in ("encode", "reconstruct", "latents", "posterior"):

        def apply(variables, x, label, method=method):
            return trainer.model.apply(variables, x, label_B=label, method=method)

        jax.eval_shape(apply, state.variables, x, label)


@pytest.mark.long
def test_a_label_goes_through_checkpoints_programs_and_refinement(model, blobs, tmp_path):
    x, label = to_unit_float(blobs.test_images[:5]), blobs.test_labels[:5]
    codes = np.asarray(model.encode(x, label=label))
    info = dataclasses.replace(model.info, config=CONFIG.replace(beta=0.0))  # errors alone count
    refined = Inference(model.state, info).encode(x, refine=1, label=label)
    errors = [
        np.square(np.asarray(model.decode(z, label=label)) - x).sum() for z in (codes, refined)
    ]
    assert errors[1] < errors[0]
    exported = load_exported(export_model(model, tmp_path / "model"), verify=False)
    assert exported.labels.classes == 4
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.encode(x, label=label), codes)
    for asked in (None, 2, label):
        codes = model.encode(x, label=asked)
        np.testing.assert_allclose(exported.encode(x, label=asked), codes, atol=1e-6)
        images = model.decode(codes, label=asked)
        np.testing.assert_allclose(exported.decode(codes, label=asked), images, atol=1e-6)
    with pytest.raises(ValueError, match="label must lie between 0 and 3"):
        exported.encode(x, label=4)
