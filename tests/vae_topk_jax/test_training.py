"""Training: what a step changes, what an epoch visits, what the same seed gives."""

import itertools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.runs import SMALL, bits, trainer_of
from vae_topk_jax.config import Config
from vae_topk_jax.data import Dataset, batch_indices, take_batch
from vae_topk_jax.steps import corrupt, make_optimizer
from vae_topk_jax.training import NonFiniteError, Trainer


def run(dataset: Dataset, config: Config) -> list:
    trainer = trainer_of(dataset, config)
    return list(trainer.epochs(trainer.init(), dataset.train_images))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param({"body": "conv", "widths": (4, 8)}, marks=pytest.mark.long),
        {"compute_dtype": "bfloat16"},
        pytest.param({"train_noise": 0.5}, marks=pytest.mark.long),
        pytest.param(
            {"optimizer": "adamw", "schedule": "constant", "warmup_steps": 5},
            marks=pytest.mark.long,
        ),
    ],
    ids=str,
)
def test_training_lowers_the_reconstruction_error(blobs, changes):
    epochs = run(blobs, SMALL.replace(epochs=8, **changes))
    assert epochs[-1].terms["reconstruction"] < 0.9 * epochs[0].terms["reconstruction"]
    assert epochs[-1].terms["skipped"] == 0
    assert int(epochs[-1].state.step) == 8 * 8


CONV = pytest.param({"body": "conv", "widths": (4,)}, id="conv", marks=pytest.mark.long)


@pytest.mark.parametrize("changes", [pytest.param({}, id="mlp"), CONV])
def test_the_same_seed_gives_the_same_bits(blobs, changes):
    config = SMALL.replace(**changes)
    first, again = (run(blobs, config)[-1].state for _ in range(2))
    other = run(blobs, config.replace(seed=1))[-1].state
    assert bits(first) == bits(again)
    assert bits(first.params) != bits(other.params)


@pytest.mark.parametrize("body", ["mlp", pytest.param("conv", marks=pytest.mark.long)])
def test_the_compiled_epoch_equals_its_steps(blobs, body):
    trainer = trainer_of(blobs, SMALL.replace(epochs=1, body=body))
    (epoch,) = trainer.epochs(trainer.init(), blobs.train_images)

    state = trainer.init()
    order_key, _ = jax.random.split(state.rng)
    images = jnp.asarray(blobs.train_images)
    for step in range(trainer.steps_per_epoch):
        index_B = batch_indices(order_key, step, trainer.num_examples, SMALL.batch_size)
        state, _ = trainer.train_step(state, take_batch(images, index_B))
    chex.assert_trees_all_close(state.params, epoch.state.params, rtol=1e-4, atol=1e-6)
    chex.assert_trees_all_close(state.batch_stats, epoch.state.batch_stats, rtol=1e-4)


def test_importance_is_told_after_every_step(blobs):
    epochs = run(blobs, SMALL)
    assert epochs[0].importance_SxD.shape == (8, 8)
    np.testing.assert_array_equal(
        epochs[-1].importance_SxD[-1], epochs[-1].state.batch_stats["batch_top_k"]["importance"]
    )
    assert run(blobs, SMALL.replace(model="beta_vae", epochs=1))[0].importance_SxD is None


def test_each_function_is_traced_once(blobs):
    chex.clear_trace_counter()
    trainer = trainer_of(blobs, SMALL)
    traced = chex.assert_max_traces(trainer._step, n=1)
    step, evaluate = jax.jit(traced), trainer.eval_step
    state = trainer.init()
    for start in range(0, 256, 64):
        x = take_batch(jnp.asarray(blobs.train_images), jnp.arange(start, start + 64))
        state, _ = step(state, x)
        evaluate(state, x)
    assert evaluate._cache_size() == 1
    for epoch in trainer.epochs(trainer.init(), blobs.train_images):
        state = epoch.state
    assert trainer.segment._cache_size() == 1


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf])
def test_a_step_that_is_not_finite_changes_nothing_but_the_count(blobs, value):
    trainer = trainer_of(blobs, SMALL)
    x = take_batch(jnp.asarray(blobs.train_images), jnp.arange(64))
    state, _ = trainer.train_step(trainer.init(), x)
    kept = bits((state.params, state.batch_stats, state.opt_state))
    state, terms = trainer.train_step(state, x.at[3, 2, 1, 0].set(value))
    assert bits((state.params, state.batch_stats, state.opt_state)) == kept
    assert int(state.step) == 2
    assert terms["skipped"] == 1


def test_evaluation_is_deterministic_and_ignores_padding(blobs):
    trainer = trainer_of(blobs, SMALL)
    x = take_batch(jnp.asarray(blobs.train_images), jnp.arange(64))
    state, _ = trainer.train_step(trainer.init(), x)
    terms = trainer.eval_step(state, x[:60])
    padded = trainer.eval_step(state, x.at[60:].set(1.0), jnp.arange(64) < 60)
    chex.assert_trees_all_equal(terms, trainer.eval_step(state, x[:60]))
    chex.assert_trees_all_close(padded, terms, rtol=1e-5)


def test_an_epoch_visits_every_image_once_and_the_next_in_another_order():
    key = jax.random.key(0)
    steps = [batch_indices(key, step, 64, 16).tolist() for step in range(8)]
    for epoch in (steps[:4], steps[4:]):
        assert sorted(itertools.chain(*epoch)) == list(range(64))
    assert steps[:4] != steps[4:]
    assert batch_indices(key, 5, 64, 16).tolist() == steps[5]


@pytest.mark.parametrize("clip", [True, False])
def test_noise_has_one_sigma_an_image_up_to_the_largest(clip):
    x = jnp.full((512, 20, 20, 1), 0.5)
    noisy = corrupt(x, jax.random.key(0), max_sigma=0.8, clip=clip)
    sigma_B = np.std(noisy, axis=(1, 2, 3))
    assert ((noisy >= 0) & (noisy <= 1)).all() == clip
    if not clip:
        assert sigma_B.max() < 0.9
        np.testing.assert_allclose(sigma_B.mean(), 0.4, atol=0.03)
        np.testing.assert_allclose(sigma_B.std(), 0.8 / np.sqrt(12), atol=0.03)


def test_learning_rate_warms_up_to_its_peak_and_decays_to_zero():
    config = Config(optimizer="sgd", learning_rate=0.5, schedule="cosine", warmup_steps=10)
    optimizer = make_optimizer(config, total_steps=110)
    params, rates = {"w": jnp.ones(())}, []
    state = optimizer.init(params)
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(111):
            updates, state = optimizer.update({"w": jnp.ones(())}, state, params)
            rates.append(-float(updates["w"]))
    assert rates[0] == 0
    np.testing.assert_allclose([max(rates), rates[10], rates[60]], [0.5, 0.5, 0.25], rtol=1e-5)
    np.testing.assert_allclose(rates[110], 0, atol=1e-6)


def test_schedules_go_by_the_share_of_the_run_that_is_done(blobs):
    trainer = trainer_of(blobs, SMALL.replace(beta=1.0, beta_warmup=1.0))
    x = take_batch(jnp.asarray(blobs.train_images), jnp.arange(64))
    state = trainer.init()
    for step in range(3):
        state, terms = trainer.train_step(state, x)
        expected = terms["reconstruction"] + step / trainer.total_steps * terms["kl"]
        np.testing.assert_allclose(terms["loss"], expected, rtol=1e-6)


def test_too_few_images_for_a_batch_are_named():
    with pytest.raises(ValueError, match="batch_size must be at most the 100 training images"):
        Trainer(Config(batch_size=128), (28, 28, 1), num_examples=100)


@pytest.mark.parametrize("spoil", [lambda x: x[:10], lambda x: x / 255.0, lambda x: x[:, :5]])
def test_images_other_than_the_trainers_are_named(blobs, spoil):
    trainer = trainer_of(blobs, SMALL)
    with pytest.raises(
        ValueError, match=r"images must be uint8 or float32 of shape \(512, 12, 12, 1\), got"
    ):
        next(trainer.epochs(trainer.init(), spoil(blobs.train_images)))


@pytest.mark.long
@pytest.mark.parametrize("segment", [3, 99])
def test_segments_of_any_length_give_the_bits_of_whole_epochs(blobs, segment):
    trainer = trainer_of(blobs, SMALL.replace(epochs=2))
    *_, whole = trainer.epochs(trainer.init(), blobs.train_images)
    *_, last = trainer.epochs(trainer.init(), blobs.train_images, segment)
    assert bits(last.state) == bits(whole.state)


@pytest.fixture
def diverged(blobs):
    """A trainer and a state whose parameters are so large that every step overflows."""
    trainer = trainer_of(blobs, SMALL)
    state = next(trainer.epochs(trainer.init(), blobs.train_images)).state
    return trainer, state.replace(params=jax.tree.map(lambda leaf: leaf * 1e30, state.params))


def test_too_many_steps_that_are_not_finite_end_the_run_with_the_last_good_state(blobs, diverged):
    trainer, state = diverged
    before = bits((state.params, state.opt_state, state.batch_stats))
    turns = trainer.epochs(state, blobs.train_images, segment=4, patience=6)
    assert next(turns).terms["skipped"] == 4
    with pytest.raises(NonFiniteError, match="stopped at step 13: 6 steps in a row") as error:
        next(turns)
    state = error.value.state
    assert bits((state.params, state.opt_state, state.batch_stats)) == before
    assert int(state.step) == 13
    assert re.search("in this one loss, .*of images [0-9]+, ", str(error.value))


def test_a_first_turn_without_a_finite_step_has_no_mean_and_is_reported(blobs, diverged, caplog):
    trainer, state = diverged
    first, _ = itertools.islice(trainer.epochs(state, blobs.train_images, segment=2), 2)
    assert np.isnan(first.terms["loss"])
    assert first.terms["skipped"] == 2
    (line,) = caplog.messages
    assert line.startswith("all 2 steps of the first turn were skipped")


@pytest.mark.parametrize(
    ("factor", "message"), [(255, r"got 0 to 25"), (np.nan, "got nan to nan"), (-1, "got -")]
)
def test_values_that_the_model_does_not_take_are_refused(blobs, factor, message):
    trainer = trainer_of(blobs, SMALL)
    images = (blobs.train_images / 255 * factor).astype(np.float32)
    with pytest.raises(ValueError, match=rf"images must lie in \[0, 1\], {message}"):
        next(trainer.epochs(trainer.init(), images))
    with pytest.raises(ValueError, match=rf"images must lie in \[0, 1\], {message}"):
        next(trainer.stream(trainer.init(), [images[:64]]))


ANY = {"model": "vae", "likelihood": "squared_error"}


@pytest.mark.parametrize(
    ("fields", "images", "message"),
    [
        (
            {"model": "vae"},
            -1.0,
            r"images must lie in \[0, 1\], got -1 to -1 \(.*squared_error",
        ),
        (ANY, np.inf, r"images must lie in \[-3.4.*e\+38, 3.4.*e\+38\], got inf to inf"),
        (ANY | {"train_noise": 0.1}, 3.0, r"got 3 to 3: clip_noise must be False for others"),
        ({"model": "batch_topk_sae", "train_noise": 0.1}, 3.0, "clip_noise must be False"),
    ],
)
def test_values_that_the_configuration_is_not_for_are_refused(fields, images, message):
    trainer = Trainer(Config(batch_size=4, **fields), (1, 1, 2), 4)
    with pytest.raises(ValueError, match=message):
        trainer.check_values(np.full((4, 1, 1, 2), images, np.float32))


def test_values_that_it_is_for_are_taken():
    x = np.full((4, 1, 1, 2), -7.0, np.float32)
    for fields in ({}, {"train_noise": 0.1, "clip_noise": False}):
        Trainer(Config(batch_size=4, **ANY, **fields), (1, 1, 2), 4).check_values(x)
    noisy = Config(batch_size=4, train_noise=0.1, **ANY)
    Trainer(noisy, (1, 1, 2), 4).check_values(np.abs(x / 7))


def test_shift_and_scale_need_the_images_and_stay_as_they_are():
    config = SMALL.replace(likelihood="normal", standardize="feature", epochs=1, widths=(4,))
    x = np.random.default_rng(0).normal(5, 3, (128, 1, 1, 4)).astype(np.float32)
    trainer = Trainer(config, x.shape[1:], len(x))
    with pytest.raises(ValueError, match="images must be given with standardize 'feature'"):
        trainer.init()
    state = trainer.init(x)
    before = jax.device_get(state.batch_stats["standardization"])
    np.testing.assert_allclose(before["shift"], x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(before["scale"], x.std(0), rtol=1e-5)
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (state, trainer.abstract_state()))
    assert shapes[0] == shapes[1]
    (turn,) = trainer.epochs(state, x)
    assert bits(turn.state.batch_stats["standardization"]) == bits(before)
