"""Labels: what a layer sees of them, which are left out, what is refused; and those of a batch."""

import jax
import numpy as np
import pytest

from vae_topk_jax import Config, fit
from vae_topk_jax.condition import (
    NO_ATTRIBUTES,
    NO_LABEL,
    Labels,
    conditioned,
    drop_labels,
    of_chunk,
    unknown,
)
from vae_topk_jax.data.batches import Labelled, epoch_batches
from vae_topk_jax.data.rows import Rows
from vae_topk_jax.data.stream import stage
from vae_topk_jax.runs.inputs import as_inputs
from vae_topk_jax.training_inputs import check_examples, checked_batch

IMAGES = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1)
LABELS = 10 + np.arange(6, dtype=np.int32)
TOLD = Config(classes=4, latent_dim=4, k=2, widths=(4,), batch_size=2)


def test_a_layer_sees_one_value_a_class_and_none_without_classes():
    features = jax.numpy.ones((2, 4))
    assert conditioned(features, None, Labels()) is features
    none, one = (
        np.asarray(conditioned(features, label, Labels(classes=2)))
        for label in (None, jax.numpy.int32(1))
    )
    np.testing.assert_array_equal(none[:, 4:], 0.0)
    np.testing.assert_array_equal(one[:, 4:], [[0, 2], [0, 2]])


def test_a_layer_sees_attributes_and_whether_they_are_known():
    features, labels = jax.numpy.ones((3, 8)), Labels(attributes=3)
    known = np.array([[3.0, 0.0, -1.0], [0.0, 0.0, 0.0]], np.float32)
    label = np.concatenate([known, np.asarray(unknown(known))[:1]])
    seen = np.asarray(conditioned(features, jax.numpy.asarray(label), labels))[:, 8:]
    expected = np.sqrt(8 / 4) * np.array([[1, 3, 0, -1], [1, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(seen, expected, rtol=1e-6)
    np.testing.assert_array_equal(conditioned(features, None, labels)[:, 8:], 0.0)


def test_attributes_are_left_out_all_together():
    dropped = np.asarray(drop_labels(jax.random.key(0), jax.numpy.full((2000, 3), 7.0), 0.1))
    is_dropped = dropped == NO_ATTRIBUTES
    assert set(is_dropped.sum(axis=1).tolist()) == {0, 3}
    assert np.mean(is_dropped) == pytest.approx(0.1, abs=0.03)


def test_the_share_of_labels_that_are_left_out():
    label = jax.numpy.full(2000, 7)
    dropped = np.asarray(drop_labels(jax.random.key(0), label, 0.1))
    assert set(dropped.tolist()) == {NO_LABEL, 7}
    assert np.mean(dropped == NO_LABEL) == pytest.approx(0.1, abs=0.03)


def test_a_batch_has_the_labels_of_its_images():
    key = jax.random.key(0)
    examples = Labelled(*map(jax.numpy.asarray, (IMAGES, LABELS)))
    batches = epoch_batches(examples, key, 1, num_examples=6, batch_size=2)
    order = []
    for step in range(3):
        batch = batches(step)
        np.testing.assert_array_equal(batch.label_B, 10 + batch.index_B)
        np.testing.assert_allclose(255 * batch.x_BxHxWxC.ravel(), batch.index_B, rtol=1e-6)
        order += np.asarray(batch.label_B).tolist()
    rows = Labelled(Rows([IMAGES], ["six"]), LABELS)
    (staged,) = stage(rows, key, 2, [(3, 3)])
    assert staged.label_N.tolist() == order == (10 + staged.images.ravel()).tolist()


def test_one_label_is_that_of_all_and_a_padded_chunk_has_none():
    classes, attributes = Labels(classes=4), Labels(attributes=2)
    np.testing.assert_array_equal(classes.check_asked(np.int64(3), 2), [3, 3])
    np.testing.assert_array_equal(attributes.check_asked([3, 0.5], 2), [[3, 0.5]] * 2)
    assert classes.check_asked(None, 2) is None
    assert np.asarray(of_chunk(np.array([4, 5, 6], np.int32), 2, 4)).tolist() == [6, -1, -1, -1]
    padded = np.asarray(of_chunk(np.ones((3, 2), np.float32), 2, 3))
    np.testing.assert_array_equal(padded, [[1, 1], [NO_ATTRIBUTES] * 2, [NO_ATTRIBUTES] * 2])


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ([1, 2, 3], r"label must be whole numbers of shape \(2,\), .* int64 of shape \(3,\)"),
        (1.0, r"label must be whole numbers .* got float64"),
        (True, r"label must be whole numbers .* got bool"),
        (4, "label must lie between 0 and 3, as classes is 4, got 4 to 4"),
        ([-1, 0], "label must lie between 0 and 3, as classes is 4, got -1 to 0"),
    ],
)
def test_a_label_that_there_is_not_is_refused(label, message):
    with pytest.raises(ValueError, match=message):
        Labels(classes=4).check_asked(label, 2)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (1.0, r"label must be numbers of shape \(2, 3\), one of each example, .* shape \(\)"),
        ([True] * 3, r"label must be numbers .* got bool of shape \(2, 3\)"),
        ([1.0, np.nan, 0.0], "label must be finite in float32"),
        ([1.0, 1e39, 0.0], "label must be finite in float32"),
    ],
)
def test_attributes_that_there_are_not_are_refused(label, message):
    with pytest.raises(ValueError, match=message):
        Labels(attributes=3).check_asked(label, 2)


def test_a_label_for_a_model_without_classes_is_refused():
    with pytest.raises(ValueError, match="label must be None for a model without classes, got 1"):
        Labels().check_asked(1, 2)


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (TOLD, {}, "labels must be given with classes 4, got none"),
        (TOLD, {"labels": LABELS}, "labels must lie between 0 and 3, .* got 10 to 15"),
        (TOLD, {"labels": LABELS[:2] - 10}, r"labels must be whole numbers of shape \(6,\)"),
        (TOLD, {"labels": LABELS / 5.0}, r"labels must be whole numbers .* got float64"),
        (TOLD, {"labels": LABELS % 4, "test": IMAGES}, "test_labels must be given with classes 4"),
        (TOLD, {"labels": LABELS % 4, "test_labels": LABELS}, "test_labels must go with test"),
        (
            TOLD.replace(classes=0, attributes=3),
            {"labels": LABELS},
            r"labels must be numbers of shape \(6, 3\), .* got int32 of shape \(6,\)",
        ),
        (
            TOLD.replace(classes=0),
            {"labels": LABELS},
            "labels must be left out for a top_k_vae without classes, got 6 of them",
        ),
        (
            Config("vsc", batch_size=2),
            {"labels": LABELS},
            "labels must be left out for a vsc without classes",
        ),
    ],
)
def test_labels_that_are_not_those_of_the_images_are_refused(config, options, message):
    with pytest.raises(ValueError, match=message):
        fit(IMAGES, config, progress=False, **options)


def test_labels_of_a_dataset_are_its_own(blobs):
    with pytest.raises(ValueError, match="labels are for arrays"):
        as_inputs(blobs, None, labels=blobs.train_labels)
    np.testing.assert_array_equal(as_inputs(blobs, None).train_labels, blobs.train_labels)


def test_other_labels_are_other_data():
    digests = [as_inputs(IMAGES, None, labels=x).digest for x in (None, LABELS, LABELS + 1)]
    assert len(set(digests)) == 3


def test_what_makes_batches_has_no_labels():
    class Noise:
        image_shape = (1, 1, 1)

        def batch(self, key, step, size):
            raise NotImplementedError

    with pytest.raises(ValueError, match="classes must be 0 where batches are made"):
        check_examples(TOLD, Noise(), 6, (1, 1, 1))


def test_a_stream_of_a_model_with_classes_has_labels():
    x = IMAGES.astype(np.float32)
    images, labels = checked_batch(TOLD, Labelled(x, LABELS % 4), (1, 1, 1))
    assert images is x
    np.testing.assert_array_equal(labels, LABELS % 4)
    with pytest.raises(ValueError, match="labels must be given with classes 4"):
        checked_batch(TOLD, x, (1, 1, 1))


def test_labels_are_of_one_kind():
    with pytest.raises(ValueError, match="attributes must be 0 with classes 4, got 3"):
        TOLD.replace(attributes=3)


def test_a_share_of_labels_goes_with_classes():
    with pytest.raises(ValueError, match=r"label_dropout must be left at 0\.1 without classes"):
        Config(label_dropout=0.2)
