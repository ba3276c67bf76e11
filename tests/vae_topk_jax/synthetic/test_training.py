"""The trainer on a ground truth: batches of (seed, step), in segments or not, resumed or not."""

import chex
import jax
import numpy as np
import pytest

from tests.helpers.runs import bits
from vae_topk_jax.config import Config
from vae_topk_jax.synthetic import SETTINGS, GroundTruth, make_ground_truth
from vae_topk_jax.training import NonFiniteError, Trainer

CONFIG = Config(model="batch_topk_sae", latent_dim=16, k=3, batch_size=32, epochs=2)


@pytest.fixture(scope="module")
def truth() -> GroundTruth:
    return make_ground_truth(jax.random.key(0), SETTINGS["tiny"])


@pytest.fixture(scope="module")
def trainer(truth) -> Trainer:
    return Trainer(CONFIG, truth.image_shape, num_examples=4 * 32)


@pytest.mark.long
def test_a_run_in_segments_that_was_stopped_is_the_same_as_one_in_epochs(trainer, truth):
    whole = list(trainer.epochs(trainer.init(truth), truth))[-1].state
    assert int(whole.step) == trainer.total_steps == 8
    state = next(trainer.epochs(trainer.init(truth), truth, segment=2)).state
    assert int(state.step) == 2
    for epoch in trainer.epochs(state, truth, segment=2):
        state = epoch.state
    assert bits(state) == bits(whole)


@pytest.mark.long
def test_the_batches_are_those_of_the_order_key_and_the_step(trainer, truth):
    state = trainer.init(truth)
    key = trainer.order_key(state)
    expected = trainer.init(truth)
    for step in range(8):
        expected, _ = trainer.train_step(expected, truth.batch(key, step, 32))
    for epoch in trainer.epochs(state, truth):
        state = epoch.state
    chex.assert_trees_all_close(state.params, expected.params, atol=1e-6)


def test_vectors_of_another_shape_are_refused_in_one_line(truth):
    trainer = Trainer(CONFIG, (1, 1, 7), num_examples=64)
    with pytest.raises(ValueError, match=r"of shape \(1, 1, 7\), got \(1, 1, 24\)") as error:
        next(trainer.epochs(trainer.init(), truth))
    assert "\n" not in str(error.value)


@pytest.mark.long
def test_a_failure_names_the_step(trainer, truth):
    broken = make_ground_truth(jax.random.key(0), SETTINGS["tiny"])
    broken = jax.tree.map(lambda leaf: leaf * np.float32("nan"), broken)
    with pytest.raises(NonFiniteError, match=r"stopped at step 0: 1 steps .* input"):
        list(trainer.epochs(trainer.init(truth), broken, patience=1))
