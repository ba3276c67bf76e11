"""One pass in chunks finds what a look at all codes at once finds."""

import numpy as np
import pytest

from vae_topk_jax.data import to_unit_float
from vae_topk_jax.gallery.activity import CHOICES, Activity, observe
from vae_topk_jax.metrics.sparsity import active_latents, dims_in_use

N, D, KEPT = 60, 6, 4


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    """Sparse codes with ties, both signs, a dead latent and one that is always active."""
    rng = np.random.default_rng(1)
    codes_NxD = np.round(rng.normal(0, 3, (N, D)), 1) * (rng.random((N, D)) < 0.4)
    codes_NxD[:, 2], codes_NxD[:, 3] = 0.0, 1.0
    return codes_NxD.astype(np.float32)


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 3, N)


def seen(codes_NxD, labels, chunk: int) -> Activity:
    activity = Activity(D, N, labels, KEPT)
    for start in range(0, N, chunk):
        part = codes_NxD[start : start + chunk]
        activity.add(part, part, start)
    return activity


@pytest.mark.parametrize("chunk", [1, 7, N])
def test_it_is_what_all_codes_at_once_give(codes, labels, chunk):
    activity = seen(codes, labels, chunk)
    active_NxD = codes != 0
    np.testing.assert_array_equal(activity.frequency_D, active_NxD.mean(axis=0))
    np.testing.assert_array_equal(activity.lowest_D, np.minimum(codes.min(axis=0), 0))
    np.testing.assert_array_equal(activity.highest_D, np.maximum(codes.max(axis=0), 0))
    for d in range(D):
        column, inside = codes[:, d], np.flatnonzero(active_NxD[:, d])
        if len(inside):
            assert activity.mean_D[d] == pytest.approx(column[inside].mean(), rel=1e-6)
            counts = np.bincount(labels[inside], minlength=3)
            np.testing.assert_array_equal(activity.by_label_DxL[d], counts)
            assert activity.purity_D[d] == counts.max() / len(inside)
        for choice, key in (("highest", -column), ("lowest", column), ("faintest", np.abs(column))):
            chosen = inside if choice == "faintest" else np.flatnonzero(key < 0)
            expected = chosen[np.argsort(key[chosen], kind="stable")][:KEPT]
            index_N, value_N = activity.of(choice, d)
            np.testing.assert_array_equal(index_N, expected)
            np.testing.assert_array_equal(value_N, column[expected])
        index_N, _ = activity.of("random", d)
        assert set(index_N) <= set(inside)
        assert len(set(index_N)) == min(KEPT, len(inside))
        edges, counts = activity.histograms.of(d)
        if len(inside):
            expected, _ = np.histogram(column[inside], np.linspace(*edges, len(counts) + 1))
            np.testing.assert_array_equal(counts, expected)
        both_D = (active_NxD & active_NxD[:, [d]]).sum(axis=0)
        either_D = (active_NxD | active_NxD[:, [d]]).sum(axis=0)
        np.testing.assert_array_equal(
            activity.together.jaccard(d), both_D / np.maximum(either_D, 1)
        )


def test_random_examples_do_not_depend_on_the_chunks(codes, labels):
    whole, parts = (seen(codes, labels, chunk) for chunk in (N, 7))
    for d in range(D):
        np.testing.assert_array_equal(whole.of("random", d)[0], parts.of("random", d)[0])


def test_sparse_and_dense_counting_agree(labels):
    rng = np.random.default_rng(3)
    sparse_NxD = ((rng.random((N, D)) < 0.03) * rng.random((N, D))).astype(np.float32)
    sparse_NxD[40:] = 1.0  # from here on a chunk is dense
    activity = seen(sparse_NxD, labels, 20)
    both_DxD = (sparse_NxD != 0).T.astype(int) @ (sparse_NxD != 0)
    either_D = both_DxD[0, 0] + np.diag(both_DxD) - both_DxD[0]
    np.testing.assert_allclose(activity.together.jaccard(0), both_DxD[0] / either_D)


def test_a_models_activity_is_that_of_the_metrics_for_any_batch(model, blobs):
    images = blobs.test_images
    codes_NxD = np.asarray(model.encode(to_unit_float(images)))
    whole, parts = (
        observe(model, images, blobs.test_labels, examples=3, chunk=chunk) for chunk in (128, 64)
    )
    assert whole.active_D.sum() / len(images) == active_latents(codes_NxD)
    np.testing.assert_array_equal(np.flatnonzero(whole.frequency_D >= 1e-3), dims_in_use(codes_NxD))
    np.testing.assert_array_equal(whole.active_D, parts.active_D)
    np.testing.assert_array_equal(whole.by_label_DxL, parts.by_label_DxL)
    for choice in CHOICES:
        for d in range(8):
            for found, other in zip(whole.of(choice, d), parts.of(choice, d), strict=True):
                np.testing.assert_allclose(found, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("labels", [np.zeros(3, int), -np.ones(128, int), np.zeros(128)])
def test_labels_that_are_none_are_refused(model, blobs, labels):
    with pytest.raises(ValueError, match="labels must be 128 integers, not negative, got"):
        observe(model, blobs.test_images, labels)
