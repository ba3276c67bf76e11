"""Pseudo-codes: EM against the density written out, and what it finds."""

import jax
import numpy as np
import pytest
import scipy.special
import scipy.stats

from vae_topk_jax.priors.prior import Examples, draw
from vae_topk_jax.priors.vamp import Vamp, _Pseudo


def log_density(state: _Pseudo, examples: Examples) -> float:
    """Mean log p(z, y), entry by entry."""
    total = np.empty((len(examples.codes_NxD), len(state.codes_MxD)))
    for n, (z, _, y) in enumerate(zip(*examples, strict=True)):
        for m, centre in enumerate(state.codes_MxD):
            own = scipy.stats.norm.logpdf(z, centre, state.width_D)
            other = scipy.stats.norm.logpdf(z, state.mean_D, state.std_D)
            value = np.where(z != 0, np.where(centre != 0, own, other), 0)
            differs = (z != 0) != (centre != 0)
            chance = np.where(differs, np.log(state.rate), np.log1p(-state.rate))
            total[n, m] = np.log(state.share_YxM[y, m]) + np.sum(value + chance)
    return float(scipy.special.logsumexp(total, axis=1).mean())


def test_every_round_of_em_makes_the_codes_likelier(sparse_codes):
    codes = sparse_codes[:60, [0, 1, 2, 3, 4, 6, 7]]
    examples = Examples.of(codes, class_N=(codes[:, 0] > 0).astype(np.int32))
    states = [_Pseudo.start(examples, codes[:8])]
    for _ in range(4):
        states.append(states[-1].improved(examples))
    found = [log_density(state, examples) for state in states]
    assert np.all(np.diff(found) > -1e-4)
    assert found[-1] > found[0] + 0.5


@pytest.mark.long
def test_samples_have_the_supports_of_codes_and_their_clusters():
    rng = np.random.default_rng(0)
    codes = np.zeros((600, 4), np.float32)
    codes[:400, :2] = rng.normal([5, -3], 0.1, (400, 2))
    codes[400:, 2:] = rng.normal([1, 8], 0.1, (200, 2))
    prior = Vamp.fit(Examples.of(codes), jax.random.key(0), pseudo_codes=20)
    drawn = np.asarray(draw(prior, jax.random.key(1), 5000))
    first = drawn[:, 0] != 0
    assert abs(first.mean() - 2 / 3) < 0.03
    for own, real in ((drawn[first], codes[:400]), (drawn[~first], codes[400:])):
        np.testing.assert_array_equal(own != 0, np.broadcast_to(real[0] != 0, own.shape))
        np.testing.assert_allclose(own.mean(0), real.mean(0), atol=0.03)
        np.testing.assert_allclose(own.std(0), real.std(0), atol=0.03)


@pytest.mark.parametrize("setting", ["pseudo_codes", "rounds"])
def test_none_of_anything_is_refused(setting, sparse_codes):
    with pytest.raises(ValueError, match=f"{setting} must be at least 1, got 0"):
        Vamp.fit(Examples.of(sparse_codes), jax.random.key(0), **{setting: 0})
