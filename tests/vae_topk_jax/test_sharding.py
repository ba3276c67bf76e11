"""Meshes and layouts on the two devices of the test process."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.runs import SMALL, bits, trainer_of
from vae_topk_jax.element import element_top_k
from vae_topk_jax.sharding import batch_sharding, make_mesh, put, to_host
from vae_topk_jax.training import NonFiniteError, Trainer


def test_a_threshold_is_that_of_the_whole_batch_ties_included():
    scores_BxD = jax.random.randint(jax.random.key(0), (64, 8), 0, 20).astype(jnp.float32)
    split_BxD = put(scores_BxD, batch_sharding(make_mesh()))
    assert len(split_BxD.addressable_shards) == 2
    whole, split = (element_top_k(x, 2) for x in (scores_BxD, split_BxD))
    np.testing.assert_array_equal(whole.mask_BxD, split.mask_BxD)
    assert whole.threshold == split.threshold


def test_matrices_with_a_latent_dimension_are_split_along_model_and_come_back_whole():
    config = SMALL.replace(model="batch_topk_sae", latent_dim=16)
    alone = Trainer(config, (4, 4, 2), 64)
    trainer = Trainer(config, (4, 4, 2), 64, make_mesh(model=2))
    state = trainer.init()
    shards = {name: x.addressable_shards[0].data.shape for name, x in state.params.items()}
    assert shards == {"W_dec": (8, 32), "W_enc": (32, 8), "b_dec": (32,), "b_enc": (8,)}
    assert bits(to_host(state.params)) == bits(alone.init().params)


@pytest.mark.long
def test_a_failure_is_described_on_a_mesh_as_on_one_device(blobs):
    config = SMALL.replace(learning_rate=1e30)
    messages = []
    for mesh in (None, make_mesh()):
        trainer = Trainer(config, blobs.image_shape, len(blobs.train_images), mesh)
        with pytest.raises(NonFiniteError) as failure:
            list(trainer.epochs(trainer.init(), blobs.train_images, patience=3))
        messages.append(str(failure.value))
    assert messages[0] == messages[1]


def test_a_mesh_that_does_not_fit_is_refused(blobs):
    two = make_mesh()
    with pytest.raises(ValueError, match=r"batch_size must be a multiple of the 2 .* got 33"):
        Trainer(SMALL.replace(batch_size=33), blobs.image_shape, 512, two)
    with pytest.raises(ValueError, match=r"latent_dim must be a multiple of the 2 .* got 7"):
        Trainer(SMALL.replace(latent_dim=7), blobs.image_shape, 512, make_mesh(model=2))
    with pytest.raises(ValueError, match=r"mesh must have the axes .* got \('x',\)"):
        Trainer(SMALL, blobs.image_shape, 512, jax.make_mesh((2,), ("x",)))
    with pytest.raises(ValueError, match="model must divide the 2 devices, got 3"):
        make_mesh(model=3)


def test_bfloat16_layers_leave_everything_that_is_kept_in_float32(blobs):
    trainer = trainer_of(blobs, SMALL.replace(selection="element", compute_dtype="bfloat16"))
    state, terms = trainer.train_step(
        trainer.init(), blobs.train_images[:64].astype(np.float32) / 255
    )
    kept = {x.dtype for x in jax.tree.leaves((state.params, state.batch_stats, state.opt_state))}
    assert kept == {jnp.dtype("float32"), jnp.dtype("int32")}
    assert {x.dtype for x in terms.values()} == {jnp.dtype("float32")}
    with jax.numpy_dtype_promotion("standard"):
        text = trainer.train_step.lower(state, jnp.zeros((64, *blobs.image_shape))).as_text()
    assert "xbf16>" in text
