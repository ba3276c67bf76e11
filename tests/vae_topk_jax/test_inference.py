"""A trained model at inference: what it gives, and what it refuses."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.runs import SMALL
from vae_topk_jax.data import to_unit_float
from vae_topk_jax.inference import Inference
from vae_topk_jax.rule import SelectionRule
from vae_topk_jax.run_info import RunInfo


def trained(blobs, **changes) -> Inference:
    info = RunInfo(SMALL.replace(**changes), blobs.image_shape, blobs.describe())
    *_, last = info.trainer.epochs(info.trainer.init(), blobs.train_images)
    return Inference(last.state, info)


@pytest.fixture(scope="module")
def model(blobs) -> Inference:
    return trained(blobs)


@pytest.fixture
def x(blobs) -> np.ndarray:
    return to_unit_float(blobs.test_images)


def test_codes_live_on_the_active_dimensions(model, x):
    assert len(model.active_dims) == 2
    codes = np.asarray(model.encode(x))
    assert np.flatnonzero(np.any(codes, axis=0)).tolist() == model.active_dims.tolist()
    assert set(model.frequency.tolist()) == {0, 1}


def test_a_dense_model_is_active_everywhere(blobs):
    dense = trained(blobs, model="beta_vae", epochs=1)
    assert dense.active_dims.tolist() == list(range(8))


@pytest.mark.parametrize("selection", ["sample", pytest.param("dimension", marks=pytest.mark.long)])
def test_a_nested_model_serves_every_k_and_smaller_codes_lie_within_larger(blobs, x, selection):
    nested = trained(blobs, nested=True, selection=selection)
    active = [np.asarray(nested.with_k(k).encode(x)) != 0 for k in (1, 3, 8)]
    assert [set(mask.sum(axis=1)) for mask in active] == [{1}, {3}, {8}]
    assert (active[0] <= active[1]).all()
    with pytest.raises(ValueError, match="k must be at most latent_dim, 8, got 9"):
        nested.with_k(9)


def test_another_model_has_the_k_that_it_was_trained_with(model):
    with pytest.raises(ValueError, match="with_k needs a model trained with nested=True"):
        model.with_k(3)


def test_reconstruct_is_decode_of_encode(model, x):
    np.testing.assert_allclose(model.reconstruct(x), model.decode(model.encode(x)), atol=1e-6)


def test_an_output_does_not_depend_on_its_batch_mates(model, x):
    others = np.concatenate([x[:1], x[:0:-1]])
    np.testing.assert_array_equal(model.reconstruct(x)[0], model.reconstruct(others)[0])
    for size in (1, 2, 7, 64):
        np.testing.assert_allclose(
            model.reconstruct(x[:size]), model.reconstruct(x)[:size], atol=1e-6
        )


def test_many_images_are_served_in_chunks(model, x):
    many = np.concatenate([x] * 9)[:1100]
    np.testing.assert_allclose(model.encode(many)[:128], model.encode(x), atol=1e-5)
    assert model.reconstruct(many).shape == many.shape


def test_batches_of_any_size_share_a_few_programs(blobs, x):
    model = trained(blobs, epochs=1)
    for size in range(1, 33):
        model.encode(x[:size])
    assert model._program("encode")._cache_size() == 6


def test_generation_is_a_function_of_its_key(model):
    images = model.generate(jax.random.key(0), 5)
    assert images.shape == (5, 12, 12, 1)
    assert ((images >= 0) & (images <= 1)).all()
    np.testing.assert_array_equal(images, model.generate(jax.random.key(0), 5))
    assert not np.array_equal(images, model.generate(jax.random.key(1), 5))


@pytest.mark.parametrize(
    ("selection", "score"),
    [(rule, "abs_mu") for rule in get_args(SelectionRule)]
    + [("element", "kl"), ("element", "signal_to_noise"), ("sample", "one_minus_sigma")],
)
def test_codes_are_the_latents_made_sparse(blobs, x, selection, score):
    model = trained(blobs, selection=selection, score=score)
    codes = np.asarray(model.encode(x))
    latents = np.asarray(model.latents(x))
    unused = np.setdiff1d(np.arange(codes.shape[1]), model.active_dims)
    assert not latents[:, unused].any()
    all_dims = np.array(model.latents(x, all_dims=True))
    all_dims[:, unused] = 0
    np.testing.assert_array_equal(latents, all_dims)
    np.testing.assert_array_equal(codes, np.where(codes != 0, latents, 0))
    np.testing.assert_array_equal(codes, model.sparsify(latents))


def test_latents_may_be_drawn_from_the_posterior(blobs, model, x):
    info = model.info
    *_, last = info.trainer.epochs(info.trainer.init(), blobs.train_images)
    drawn, again, other = (
        Inference(last.state, info, jax.random.key(seed)).encode(x) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(drawn, again)
    assert not np.array_equal(drawn, other)
    mu, logvar = model.model.apply(model.variables, x, method="posterior")
    active = model.active_dims
    noise = ((np.asarray(drawn) - mu) / np.exp(logvar / 2))[:, active]
    np.testing.assert_allclose([noise.mean(), noise.std()], [0, 1], atol=0.25)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: (x * 255).astype(np.uint8), r"images must be floating in \[0, 1\], got uint8"),
        (lambda x: (x * 255).astype(np.int32), r"images must be floating in \[0, 1\], got int32"),
        (lambda x: x * 255, r"images must lie in \[0, 1\], got 0 to 25"),
        (lambda x: x - 0.1, r"images must lie in \[0, 1\], got -0.1"),
        (lambda x: np.where(x > 0.5, np.nan, x), r"images must lie in \[0, 1\], got nan"),
        (lambda x: np.where(x > 0.5, np.inf, x), r"images must lie in \[0, 1\], got 0 to inf"),
        (lambda x: x[0], r"images must have shape \(N, 12, 12, 1\), got \(12, 12, 1\)"),
        (lambda x: x[:, :11], r"images must have shape \(N, 12, 12, 1\), got \(128, 11, 12, 1\)"),
        (lambda x: x[:0], r"images must have shape \(N, 12, 12, 1\), got \(0, 12, 12, 1\)"),
    ],
)
@pytest.mark.parametrize("method", ["encode", "reconstruct"])
@pytest.mark.parametrize("as_array", [np.asarray, jnp.asarray])
def test_bad_images_are_named(model, x, spoil, message, method, as_array):
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(as_array(spoil(x)))


@pytest.mark.parametrize("shape", [(3,), (3, 7), (0, 8)])
def test_bad_codes_are_named(model, shape):
    with pytest.raises(ValueError, match=r"z must have shape \(N, 8\), got"):
        model.decode(np.zeros(shape))


def test_no_images_are_refused(model):
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        model.generate(jax.random.key(0), 0)


def test_a_model_without_a_step_is_refused(blobs):
    info = RunInfo(SMALL, blobs.image_shape, blobs.describe())
    with pytest.raises(ValueError, match="has seen no batch yet"):
        Inference(info.trainer.init(), info)


def test_a_model_kept_from_an_earlier_epoch_lives_on(blobs, x):
    info = RunInfo(SMALL, blobs.image_shape, blobs.describe())
    epochs = info.trainer.epochs(info.trainer.init(), blobs.train_images)
    first = Inference(next(epochs).state, info)
    codes = first.encode(x)
    assert len([*epochs]) == 2
    np.testing.assert_array_equal(first.encode(x), codes)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(first.state))
