"""The probe learns, predicts the same whatever shares its batch, and survives its cache."""

import dataclasses
import logging
import re

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

from vae_topk_jax.metrics import Probe, TrainedProbe, load_or_train_probe, train_probe
from vae_topk_jax.metrics.classifier import CHUNK, _apply, _shift

EPOCHS = 4


@pytest.fixture(scope="module")
def trained(blobs):
    return train_probe(
        blobs.train_images, blobs.train_labels, jax.random.key(0), num_classes=4, epochs=EPOCHS
    )


def assert_same_params(a, b):
    assert jax.tree.structure(a.params) == jax.tree.structure(b.params)
    jax.tree.map(np.testing.assert_array_equal, a.params, b.params)


def test_it_reads_real_digits():
    digits = load_digits()
    images = (digits.images / 16).repeat(2, axis=1).repeat(2, axis=2)[..., None]
    is_test = np.arange(len(images)) % 5 == 0
    probe = train_probe(
        images[~is_test], digits.target[~is_test], jax.random.key(0), num_classes=10, epochs=10
    )
    assert probe.accuracy(images[is_test], digits.target[is_test]) > 0.95


def test_it_learns_more_than_it_has_seen(trained, blobs):
    assert trained.accuracy(blobs.test_images, blobs.test_labels) > 0.95


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (1, 16, 2), (9, 7, 4)])
def test_the_network_takes_images_of_any_size_and_channels(shape):
    probe, images = Probe(num_classes=7), np.zeros((2, *shape), np.float32)
    logits, variables = jax.eval_shape(probe.init_with_output, jax.random.key(0), images)
    assert logits.shape == (2, 7)
    assert variables["params"]["head"]["kernel"].shape == (128, 7)


@pytest.mark.long
def test_colour_images_that_are_not_square():
    images = np.random.default_rng(0).integers(0, 256, (6, 9, 7, 3), np.uint8)
    probe = train_probe(images, np.arange(6) % 3, jax.random.key(1), num_classes=3, epochs=1)
    assert probe.image_shape == (9, 7, 3)
    assert probe.features(images).shape == (6, 128)


@pytest.mark.parametrize(("seed", "same"), [(0, True), (1, False)])
def test_the_key_decides_the_weights(trained, blobs, seed, same):
    again = train_probe(
        blobs.train_images, blobs.train_labels, jax.random.key(seed), num_classes=4, epochs=EPOCHS
    )
    equal = np.array_equal(again.logits(blobs.test_images), trained.logits(blobs.test_images))
    assert equal == same


def test_bytes_and_floats_are_the_same_images(trained, blobs):
    floats = blobs.test_images / np.float32(255)
    np.testing.assert_array_equal(trained.features(blobs.test_images), trained.features(floats))
    again = train_probe(
        blobs.train_images / np.float32(255),
        blobs.train_labels,
        jax.random.key(0),
        num_classes=4,
        epochs=EPOCHS,
    )
    assert_same_params(again, trained)


@pytest.mark.parametrize("count", [1, CHUNK - 1, CHUNK, CHUNK + 1])
def test_features_do_not_depend_on_the_batch(trained, blobs, count):
    images = np.concatenate([blobs.train_images, blobs.test_images])[:count]
    features = trained.features(images)
    assert features.shape == (count, 128)
    assert features.dtype == np.float32
    assert features.min() >= 0
    np.testing.assert_array_equal(features[-1:], trained.features(images[-1:]))


def test_odd_counts_do_not_compile_again(trained, blobs):
    trained.features(blobs.test_images)
    compiled = _apply._cache_size()
    for count in (1, 2, 77, 128):
        trained.features(blobs.test_images[:count])
    assert _apply._cache_size() == compiled


def test_logits_are_linear_in_the_features(trained, blobs):
    head = trained.params["params"]["head"]
    expected = trained.features(blobs.test_images) @ head["kernel"] + head["bias"]
    np.testing.assert_allclose(trained.logits(blobs.test_images), expected, atol=1e-4)


def test_accuracy_counts_hits(trained, blobs):
    predicted = trained.logits(blobs.test_images).argmax(axis=1)
    assert trained.accuracy(blobs.test_images, predicted) == 1
    predicted[:32] = (predicted[:32] + 1) % 4
    assert trained.accuracy(blobs.test_images, predicted) == 0.75


@pytest.mark.parametrize("max_shift", [0, 1, 3])
def test_shifts_move_whole_images_by_whole_pixels(max_shift):
    images = np.zeros((200, 9, 9, 1), np.float32)
    images[:, 4, 4] = 1
    moved = np.asarray(_shift(images, jax.random.key(0), max_shift))
    assert moved.shape == images.shape
    rows, columns = np.nonzero(moved[..., 0])[1:]
    assert len(rows) == len(images)
    every_offset = {*range(4 - max_shift, 5 + max_shift)}
    assert set(rows.tolist()) == set(columns.tolist()) == every_offset


IMAGES, LABELS = np.zeros((4, 8, 8, 1), np.float32), np.arange(4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images_NxHxWxC": IMAGES[0]}, r"images must be \(N, H, W, C\).*\(8, 8, 1\)"),
        ({"images_NxHxWxC": IMAGES[:0]}, "images must be .*N >= 1"),
        ({"images_NxHxWxC": IMAGES.astype(np.int32)}, "images must be uint8 or floating.*int32"),
        ({"images_NxHxWxC": IMAGES + 255}, "images must be finite and in .*255"),
        ({"images_NxHxWxC": IMAGES + np.nan}, "images must be finite"),
        ({"labels_N": LABELS[:3]}, r"labels must be 4 integers.*\(3,\)"),
        ({"labels_N": LABELS / 1.0}, "labels must be 4 integers.*float64"),
        ({"num_classes": 3}, r"labels must be in \[0, 3\), got 0 to 3"),
        ({"labels_N": LABELS - 1}, r"labels must be in \[0, 4\), got -1 to 2"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"max_shift": -1}, "max_shift must be at least 0, got -1"),
    ],
)
def test_wrong_training_arguments_are_named(change, message):
    arguments = {"images_NxHxWxC": IMAGES, "labels_N": LABELS, "num_classes": 4}
    with pytest.raises(ValueError, match=message):
        train_probe(**(arguments | {"key": jax.random.key(0)} | change))


def test_a_probe_refuses_images_of_another_shape(trained):
    with pytest.raises(ValueError, match=r"must be \(12, 12, 1\) .*got \(8, 8, 1\)"):
        trained.features(IMAGES)


def load(dataset, cache_dir, epochs=1, seed=0) -> TrainedProbe:
    return load_or_train_probe(dataset, cache_dir=cache_dir, epochs=epochs, seed=seed)


@pytest.fixture
def no_training(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("the probe was trained, not loaded")

    return lambda: monkeypatch.setattr("vae_topk_jax.metrics.classifier_cache.train_probe", fail)


def test_the_cache_gives_back_what_was_trained(blobs, tmp_path, no_training, caplog):
    first = load(blobs, tmp_path)
    assert first.test_accuracy == first.accuracy(blobs.test_images, blobs.test_labels)
    no_training()
    second = load(blobs, tmp_path)
    assert_same_params(first, second)
    for field in ("num_classes", "image_shape", "test_accuracy"):
        assert getattr(first, field) == getattr(second, field)
    assert [path.suffix for path in (tmp_path / "probe").iterdir()] == [".safetensors"]
    assert not caplog.records


def test_the_environment_names_the_cache(blobs, tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_TOPK_CACHE", str(tmp_path / "new"))
    load(blobs, None)
    assert len(list((tmp_path / "new" / "probe").glob("*.safetensors"))) == 1
    load(blobs, tmp_path / "argument")
    assert len(list((tmp_path / "argument" / "probe").glob("*.safetensors"))) == 1


def test_another_dataset_seed_or_length_is_another_file(blobs, tmp_path):
    load(blobs, tmp_path)
    load(blobs, tmp_path, seed=1)
    load(blobs, tmp_path, epochs=2)
    load(dataclasses.replace(blobs, test_images=255 - blobs.test_images), tmp_path)
    assert len(list((tmp_path / "probe").iterdir())) == 4


DAMAGES = {
    "empty": lambda raw: b"",
    "cut": lambda raw: raw[: len(raw) // 2],
    "not safetensors": lambda raw: b"?" * len(raw),
    "a flipped bit in the weights": lambda raw: raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:],
    "a forged accuracy": lambda raw: re.sub(rb'(test_accuracy\\": )\d', rb"\g<1>7", raw),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_reported_once_and_trained_again(
    blobs, tmp_path, no_training, caplog, name
):
    first = load(blobs, tmp_path)
    (path,) = (tmp_path / "probe").iterdir()
    raw = path.read_bytes()
    damaged = DAMAGES[name](raw)
    assert damaged != raw
    path.write_bytes(damaged)
    with caplog.at_level(logging.WARNING, logger="vae_topk_jax.metrics"):
        again = load(blobs, tmp_path)
    assert_same_params(first, again)
    assert len(caplog.records) == 1
    assert "training it again" in caplog.text
    no_training()
    assert_same_params(first, load(blobs, tmp_path))


def test_a_file_of_another_probe_is_not_believed(blobs, tmp_path, caplog):
    first = load(blobs, tmp_path, seed=0)
    (path,) = (tmp_path / "probe").iterdir()
    load(blobs, tmp_path, seed=1)
    (other,) = set((tmp_path / "probe").iterdir()) - {path}
    path.write_bytes(other.read_bytes())
    assert_same_params(first, load(blobs, tmp_path, seed=0))
    assert "it holds a probe for" in caplog.text


def test_a_cache_that_cannot_be_written_costs_one_log_line(blobs, tmp_path, caplog):
    (tmp_path / "probe").write_text("a file where the folder should be")
    probe = load(blobs, tmp_path)
    assert probe.test_accuracy is not None
    assert "cannot cache the probe" in caplog.text
