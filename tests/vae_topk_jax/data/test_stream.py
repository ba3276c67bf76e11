"""Streams: the batches of (key, step), whatever they are read from."""

import dataclasses
import io

import jax
import numpy as np
import pytest

from tests.helpers.runs import SMALL, bits, trainer_of
from vae_topk_jax.data import Rows, batch_indices, take_batch
from vae_topk_jax.data import stream as stream_module
from vae_topk_jax.data.stream import stream
from vae_topk_jax.sharding import batch_sharding, make_mesh
from vae_topk_jax.training import NonFiniteError

KEY = jax.random.key(3)


@pytest.mark.parametrize("sharded", [False, True], ids=["whole", "split"])
def test_batches_are_those_of_the_key_and_the_step_in_any_order(blobs, sharded):
    images = blobs.train_images
    sharding = batch_sharding(make_mesh()) if sharded else None
    steps = [0, 7, 8, 3]
    for step, x in zip(steps, stream(images, KEY, 64, steps, sharding), strict=True):
        index_B = batch_indices(KEY, step, len(images), 64)
        np.testing.assert_array_equal(x, take_batch(jax.numpy.asarray(images), index_B))


def test_a_file_of_records_trains_as_the_array_does(blobs, tmp_path):
    module = pytest.importorskip("array_record.python.array_record_module")
    source = pytest.importorskip("array_record.python.array_record_data_source")
    path = str(tmp_path / "spots.array_record")
    writer = module.ArrayRecordWriter(path, "group_size:1")
    for image in blobs.train_images:
        file = io.BytesIO()
        np.save(file, image)
        writer.write(file.getvalue())
    writer.close()

    trainer = trainer_of(blobs, SMALL.replace(epochs=1))
    (epoch,) = trainer.epochs(trainer.init(), blobs.train_images)
    state = trainer.init()
    with source.ArrayRecordDataSource(path) as records:
        batches = stream(
            records,
            trainer.order_key(state),
            SMALL.batch_size,
            range(trainer.total_steps),
            decode=lambda record: np.load(io.BytesIO(record)),
        )
        for turn in trainer.stream(state, batches):
            state, _ = turn
    for streamed, whole in zip(
        *map(jax.tree.leaves, (state.params, epoch.state.params)), strict=True
    ):
        np.testing.assert_allclose(streamed, whole, atol=1e-5)


def test_reading_stays_ahead_of_the_step_and_no_further():
    class Watched:
        def __init__(self):
            self.read = []

        def __len__(self):
            return 40

        def __getitem__(self, index):
            self.read.append(index)
            return np.zeros((2, 2, 1), np.uint8)

    source = Watched()
    batches = stream(source, KEY, 4, range(10), ahead=2)
    next(batches)
    batches.close()
    assert len(source.read) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 5}, "batch_size must be between 1 and the 4 examples, got 5"),
        ({"ahead": 0}, "ahead must be at least 1, got 0"),
        ({"decode": np.float64}, "examples must be uint8 or float32, got float64"),
    ],
)
def test_bad_input_is_named(options, message):
    images = np.zeros((4, 2, 2, 1), np.uint8)
    with pytest.raises(ValueError, match=message):
        list(stream(images, **({"key": KEY, "batch_size": 2, "steps": [0]} | options)))


@pytest.fixture(scope="module")
def whole(blobs):
    """A trainer, and its epochs on the array."""
    trainer = trainer_of(blobs, SMALL.replace(epochs=2))
    images = blobs.train_images
    return trainer, [*trainer.epochs(trainer.init(images), images)]


@pytest.mark.parametrize("piece_steps", [1, 3])
def test_rows_train_with_the_bits_of_the_array(blobs, whole, monkeypatch, piece_steps):
    trainer, whole = whole
    images = blobs.train_images
    rows = Rows(np.split(images, [100, 101, 400]), ["a", "b", "c", "d"])
    batch_bytes = trainer.config.batch_size * images[0].nbytes
    monkeypatch.setattr(stream_module, "PIECE_BYTES", piece_steps * batch_bytes)
    pieces = [*trainer.epochs(trainer.init(rows), rows)]
    assert bits(pieces[-1].state) == bits(whole[-1].state)
    assert [turn.terms for turn in pieces] == [turn.terms for turn in whole]
    for one, other in zip(pieces, whole, strict=True):
        np.testing.assert_array_equal(one.importance_SxD, other.importance_SxD)


@pytest.mark.long
def test_rows_on_a_mesh_train_as_the_array_does(blobs):
    trainer = dataclasses.replace(trainer_of(blobs, SMALL.replace(epochs=1)), mesh=make_mesh())
    ends = []
    for images in (blobs.train_images, Rows([blobs.train_images], ["a"])):
        *_, last = trainer.epochs(trainer.init(), images, segment=3)
        ends.append(bits(last.state))
    assert ends[0] == ends[1]


def test_a_step_of_rows_that_fails_names_what_was_not_finite(blobs):
    trainer = trainer_of(blobs, SMALL.replace(learning_rate=1e30, schedule="constant"))
    rows = Rows([blobs.train_images], ["a"])
    with pytest.raises(NonFiniteError, match=r"2 steps in a row were not finite; in this one "):
        [*trainer.epochs(trainer.init(), rows, patience=2)]
