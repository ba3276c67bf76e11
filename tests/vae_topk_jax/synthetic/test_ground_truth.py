"""The ground truth: its trees, its rates, its strengths; the same as sae_lens's, in distribution.

With 1,024 features and a million samples of each library, the z of every two-sample test must stay
below 5.5 (a chance of 4e-8 each), and their mean square within five standard errors of 1.
"""

import dataclasses
import importlib
import warnings
from types import ModuleType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import ks_2samp

from experiments.synth.peers import saelens_generator, saelens_trees
from vae_topk_jax.synthetic import SETTINGS, Setting, draw_features, make_ground_truth
from vae_topk_jax.synthetic.directions import orthogonalise, superposition
from vae_topk_jax.synthetic.ground_truth import GroundTruth

TINY = SETTINGS["tiny"]
SAMPLES, BATCH, SEEN_PAIRS = 1_000_000, 5_000, 64
LARGEST_Z = 5.5


@pytest.fixture(scope="module")
def truth() -> GroundTruth:
    return make_ground_truth(jax.random.key(0), TINY)


@pytest.fixture(scope="module")
def features(truth) -> np.ndarray:
    return np.asarray(draw_features(truth, jax.random.key(1), 20_000))


def peer(name: str) -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(name.partition(".")[0], reason="needs the extra bench")
        return importlib.import_module(name)


def families(setting: Setting) -> list[tuple[int, list[int]]]:
    """Parents with their children, written out one by one."""
    found, level, following = [], list(range(setting.roots)), setting.roots
    for _ in range(setting.depth):
        below = []
        for parent in level:
            children = list(range(following, following + setting.branching))
            following += setting.branching
            found.append((parent, children))
            below += children
        level = below
    assert following == setting.hierarchy.size
    return found


def assert_trees_hold(features_NxG: np.ndarray, setting: Setting) -> None:
    for parent, children in families(setting):
        fires = features_NxG[:, children] > 0
        assert fires.sum(axis=1).max() <= 1, parent
        assert not fires[features_NxG[:, parent] == 0].any(), parent


def test_the_trees_are_never_violated(features):
    assert_trees_hold(features, TINY)


def test_all_that_fire_are_as_likely_and_a_child_is_as_strong_as_its_parent(features, truth):
    """With all probabilities and deviations set, what a family does is known."""
    certain = dataclasses.replace(
        truth,
        probability_G=jnp.ones_like(truth.probability_G),
        deviation_G=jnp.zeros_like(truth.deviation_G).at[:4].set(1.0),
    )
    drawn = np.asarray(draw_features(certain, jax.random.key(2), 20_000))
    mean = np.asarray(truth.mean_G)
    for parent, children in families(TINY):
        own = drawn[drawn[:, parent] > 0]
        expected = own[:, parent] / mean[parent]
        np.testing.assert_allclose((own[:, children] / mean[children]).sum(axis=1), expected, 1e-5)
        share = (own[:, children] > 0).mean(axis=0)
        assert np.abs(share - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / len(own))
    alone = drawn[:, TINY.hierarchy.size :]
    np.testing.assert_allclose(alone, np.broadcast_to(mean[84:], alone.shape), rtol=1e-6)


def test_features_outside_of_trees_fire_and_weigh_as_they_should(features, truth):
    outside = slice(TINY.hierarchy.size, None)
    p, rate = np.asarray(truth.probability_G)[outside], (features > 0).mean(axis=0)[outside]
    z = (rate - p) / np.sqrt(p * (1 - p) / len(features))
    assert np.abs(z).max() < LARGEST_Z
    weak = np.asarray(truth.deviation_G) > 1
    mean, deviation = np.asarray(truth.mean_G), np.asarray(truth.deviation_G)
    for g in np.flatnonzero(~weak)[TINY.hierarchy.size :]:
        strengths = features[features[:, g] > 0, g]
        standard = (strengths - mean[g]) / deviation[g]
        assert abs(standard.mean()) < LARGEST_Z / np.sqrt(len(strengths))
        assert abs(np.square(standard).mean() - 1) < LARGEST_Z * np.sqrt(2 / len(strengths))


def test_a_batch_is_a_function_of_the_key_and_the_step(truth):
    key = jax.random.key(3)
    first, again, other = (np.asarray(truth.batch(key, step, 16)) for step in (7, 7, 8))
    assert first.shape == (16, 1, 1, TINY.inputs)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": 83}, "features must be at least the 84 that stand in trees, got 83"),
        ({"most": 1.5}, r"most must be in \(0, 1\], got 1.5"),
        ({"least": 0.5}, "least must be at most most, 0.4, got 0.5"),
        ({"branching": 1}, "branching must be at least 2, got 1"),
        ({"rank": 2.5}, "rank must be an integer, got 2.5"),
        ({"bias": float("nan")}, "bias must be finite, got nan"),
    ],
)
def test_bad_settings_are_refused_in_one_line(changes, message):
    with pytest.raises(ValueError, match=message) as error:
        dataclasses.replace(TINY, **changes)
    assert "\n" not in str(error.value)


class Compared(NamedTuple):
    """The same setting in both libraries."""

    truth: GroundTruth
    theirs: object


@pytest.fixture(scope="module")
def both() -> Compared:
    """Our ground truth, and sae_lens's generator with the same numbers and its own trees."""
    synthetic, torch = peer("sae_lens.synthetic"), peer("torch")
    setting = SETTINGS["small"]
    truth = make_ground_truth(jax.random.key(0), setting)
    trees = saelens_trees(setting)
    often = synthetic.zipfian_firing_probabilities(
        setting.features, setting.exponent, setting.most, setting.least
    )
    drawn = (often * trees.compute_probability_correction_factors(often)).clamp(max=1.0)
    np.testing.assert_allclose(truth.probability_G, drawn.numpy(), rtol=1e-4)
    torch.manual_seed(0)
    return Compared(truth, saelens_generator(truth, trees))


class Moments(NamedTuple):
    """Sums over samples."""

    count: np.ndarray
    pairs: np.ndarray
    first: np.ndarray
    second: np.ndarray
    fourth: np.ndarray
    l0: np.ndarray


def moments(sample, mean_G: np.ndarray) -> Moments:
    total = None
    for number in range(SAMPLES // BATCH):
        a = sample(number)
        fires = (a > 0).astype(np.float32)
        off = np.where(a > 0, a - mean_G, 0)
        own = [fires.sum(axis=0), fires[:, :SEEN_PAIRS].T @ fires[:, :SEEN_PAIRS]]
        own += [np.sum(off**power, axis=0, dtype=np.float64) for power in (1, 2, 4)]
        own += [np.bincount(fires.sum(axis=1).astype(int), minlength=80)]
        total = own if total is None else [x + y for x, y in zip(total, own, strict=True)]
    return Moments(*total)


def assert_same(z: np.ndarray) -> None:
    assert np.abs(z).max() < LARGEST_Z
    assert abs(np.mean(z**2) - 1) < 5 * np.sqrt(2 / z.size) + 0.02


@pytest.mark.long
def test_a_million_samples_are_like_those_of_sae_lens(both):
    truth, theirs = both
    setting = SETTINGS["small"]
    mean_G = np.asarray(truth.mean_G)

    def our_sample(number: int) -> np.ndarray:
        key = jax.random.fold_in(jax.random.key(1), number)
        return np.asarray(draw_features(truth, key, BATCH))

    assert_trees_hold(our_sample(0), setting)
    assert_trees_hold(theirs.sample(BATCH).numpy(), setting)
    us, them = moments(our_sample, mean_G), moments(lambda _: theirs.sample(BATCH).numpy(), mean_G)

    def rate_z(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        p = (a + b) / (2 * SAMPLES)
        return ((a - b) / SAMPLES)[p > 1e-4] / np.sqrt(2 * p * (1 - p) / SAMPLES)[p > 1e-4]

    assert_same(rate_z(us.count, them.count))  # firing rates
    upper = np.triu_indices(SEEN_PAIRS, 1)
    assert_same(rate_z(us.pairs[upper], them.pairs[upper]))  # co-firing

    often = np.minimum(us.count, them.count) > 1000
    for lower, higher in (("first", "second"), ("second", "fourth")):  # strengths
        means, errors = zip(
            *(
                (getattr(m, lower) / m.count, (getattr(m, higher) / m.count) / m.count)
                for m in (us, them)
            ),
            strict=True,
        )
        centred = [
            e - mean**2 / m.count for e, mean, m in zip(errors, means, (us, them), strict=True)
        ]
        assert_same(((means[0] - means[1]) / np.sqrt(sum(centred)))[often])

    l0_us, l0_them = (np.repeat(np.arange(80), m.l0) for m in (us, them))
    assert ks_2samp(l0_us, l0_them).pvalue > 1e-6
    pooled = np.sqrt((l0_us.var() + l0_them.var()) / SAMPLES)
    assert abs(l0_us.mean() - l0_them.mean()) < LARGEST_Z * pooled


def test_directions_are_those_of_sae_lens(both):
    """From the same start; and so are how far features lie in each other's way."""
    dictionary, torch = peer("sae_lens.synthetic.feature_dictionary"), peer("torch")
    start = np.random.default_rng(0).normal(size=(256, 32)).astype(np.float32)
    theirs = dictionary.orthogonalize_embeddings(torch.tensor(start), 100, 3e-4).numpy()
    ours = orthogonalise(jnp.asarray(start), 100, 3e-4)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)
    products = np.abs(theirs @ theirs.T) - np.eye(256)
    np.testing.assert_allclose(superposition(ours), products.max(axis=1).mean(), rtol=1e-4)
