"""Refined codes: the linear algebra against NumPy, and what refinement promises of every code."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.runs import untrained
from vae_topk_jax import refinement
from vae_topk_jax.data import to_unit_float
from vae_topk_jax.inference import Inference
from vae_topk_jax.models import TopKVAE, VAEase
from vae_topk_jax.refinement import Objective, improved

D, P, K = 5, 12, 2


def objective(precision: float = 0.0, size: int = P) -> Objective:
    zeros_D = jnp.zeros(D)
    return Objective(jnp.ones((1, 1, size)), zeros_D + precision, zeros_D)


@pytest.fixture(scope="module")
def weight_DxP() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(D, P)).astype(np.float32)


@pytest.fixture(scope="module")
def step(weight_DxP):
    """A pass for the decoder z @ weight."""
    return jax.jit(
        functools.partial(improved, lambda z_BxD: (z_BxD @ weight_DxP)[:, None, None, :])
    )


def best_of_two(x_P: np.ndarray, weight_DxP: np.ndarray, first: int) -> tuple[float, set[int]]:
    """The lowest error of two latents, one of which is given, and which they are."""
    found = []
    for second in range(D):
        pair = sorted({first, second})
        values = np.linalg.lstsq(weight_DxP[pair].T, x_P, rcond=None)[0]
        found.append((float(np.sum((x_P - values @ weight_DxP[pair]) ** 2)), set(pair)))
    return min(found)


def test_one_pass_makes_the_best_exchange_in_a_linear_decoder(step, weight_DxP):
    """What the closed formulas promise is what least squares over all pairs give."""
    rng = np.random.default_rng(1)
    for start in itertools.islice(itertools.combinations(range(D), K), 4):
        x_P = rng.normal(size=P).astype(np.float32)
        active_D = np.isin(np.arange(D), start)
        z_D = np.where(active_D, 0.3, 0.0).astype(np.float32)
        z_D, active_D = step(objective(), x_P.reshape(1, 1, P), z_D, active_D)
        error = float(jnp.sum(jnp.square(x_P - z_D @ weight_DxP)))
        best = min(best_of_two(x_P, weight_DxP, one) for one in start)
        assert set(np.flatnonzero(active_D)) == set(np.flatnonzero(z_D)) == best[1]
        np.testing.assert_allclose(error, best[0], rtol=0.02)  # the step is damped


def test_the_swept_matrix_holds_inverse_solution_and_remainder(weight_DxP):
    matrix_DxD = np.corrcoef(weight_DxP)
    b_D = np.arange(1.0, D + 1)
    active = np.array([True, False, True, True, False])
    quadratic = refinement.Quadratic(*map(jnp.float32, (matrix_DxD, b_D, np.ones(D))))
    swept = np.asarray(refinement._solved(quadratic, jnp.asarray(active), 0.1))
    damped = matrix_DxD + 0.1 * np.eye(D)
    inverse = np.linalg.inv(damped[np.ix_(active, active)])
    cross = damped[np.ix_(active, ~active)]
    np.testing.assert_allclose(swept[:, :D][np.ix_(active, active)], inverse, rtol=1e-4)
    np.testing.assert_allclose(swept[active, D], inverse @ b_D[active], rtol=1e-4)
    rest = damped[np.ix_(~active, ~active)] - cross.T @ inverse @ cross
    np.testing.assert_allclose(swept[:, :D][np.ix_(~active, ~active)], rest, rtol=1e-4)


def test_the_prior_weighs_as_the_objective_says(step, weight_DxP):
    """With all latents active a linear decoder's best code is that of ridge regression."""
    prior = dataclasses.replace(objective(3.0), mean_D=jnp.linspace(-1, 1, D))
    x_P = np.random.default_rng(2).normal(size=P).astype(np.float32)
    z_D, active_D = np.zeros(D, np.float32), np.ones(D, bool)
    for _ in range(3):
        z_D, active_D = step(prior, x_P.reshape(1, 1, P), z_D, active_D)
    ridge = weight_DxP @ weight_DxP.T + 3 * np.eye(D)
    right = weight_DxP @ x_P + 3 * np.linspace(-1, 1, D)
    np.testing.assert_allclose(z_D, np.linalg.solve(ridge, right), atol=1e-4)


def test_exchanges_keep_to_what_is_allowed_and_try_what_is_offered():
    """A decoder that also sees which latents are active: no slope shows what one would bring."""
    x = jnp.full((1, 1, 1), 2.0)

    def decode(z_BxD):
        bonus_B = jnp.where(z_BxD[:, 3] != 0, 1.5, 0.0)
        return (0.1 * jnp.sum(z_BxD, axis=1) + bonus_B)[:, None, None, None]

    active_D = jnp.array([True, True, False, False, False])
    z_D, offers_D = jnp.where(active_D, 1.0, 0.0), jnp.full(D, 0.5)
    may_swap = jnp.zeros((D, D), bool).at[1, 2:].set(True)
    step = jax.jit(functools.partial(improved, decode, objective(1.0, size=1), x, z_D, active_D))
    _, blind_D = step(may_swap, jnp.zeros(D))
    _, offered_D = step(may_swap, offers_D)
    code_D, forbidden_D = step(jnp.zeros((D, D), bool), offers_D)
    assert blind_D[0]
    assert np.flatnonzero(offered_D).tolist() == [0, 3]
    assert np.flatnonzero(forbidden_D).tolist() == np.flatnonzero(code_D).tolist() == [0, 1]


def energies(model: Inference, x: np.ndarray, z) -> np.ndarray:
    found = model.model.apply(model.variables, method="refinement_objective")
    active = z != 0

    def energy(x, z, active):
        y = model.model.apply(model.variables, z[None], method="decode")
        return found.of(x, y, z[None], active[None])[0]

    return np.asarray(jax.jit(jax.vmap(energy))(x, z, active))


@pytest.mark.long
def test_every_code_gets_better_and_keeps_its_number_of_active_latents(blobs):
    model = untrained(blobs, widths=(16,), selection="element", structural=0.01)
    x = to_unit_float(blobs.test_images[:4])
    codes = [np.asarray(model.encode(x, refine=passes)) for passes in (0, 1, 3)]
    before, *after = (energies(model, x, z) for z in codes)
    for energy, z in zip(after, codes[1:], strict=True):
        assert (energy <= before * (1 + 1e-5)).all()
        np.testing.assert_array_equal((z != 0).sum(1), (codes[0] != 0).sum(1))
    assert after[1].mean() < after[0].mean() < before.mean()
    program = model._programs["refine"]
    assert program._cache_size() == 1  # whatever the number of passes
    np.testing.assert_array_equal(model.reconstruct(x, refine=3), model.decode(codes[2]))
    alone = np.asarray(model.encode(x[2:3], refine=1))
    np.testing.assert_allclose(alone, codes[1][2:3], rtol=1e-4, atol=1e-5)


def test_by_dimension_no_image_leaves_the_dimensions_of_all():
    assert TopKVAE(selection="element").swaps() is None
    assert not TopKVAE(selection="dimension", latent_dim=3).swaps().any()


def test_by_slot_an_exchange_stays_in_its_group(blobs):
    model = untrained(blobs, widths=(16,), selection="slot", mask_input=True)
    x = to_unit_float(blobs.test_images[:8])
    codes = [np.asarray(model.encode(x, refine=passes)) for passes in (0, 2)]
    active = [(z != 0).reshape(len(x), 2, -1) for z in codes]
    assert (active[1].sum(axis=2) == 1).all()
    assert (active[1] != active[0]).any()
    assert (energies(model, x, codes[1]) < energies(model, x, codes[0])).all()


def test_the_prior_of_vaease_weighs_as_its_variance():
    model = VAEase(image_shape=(1, 1, 4), latent_dim=3, widths=(4,))
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 1, 1, 4)))
    variables = jax.tree.map(lambda x: jnp.full(x.shape, jnp.log(0.2)), shapes)
    found = model.apply(variables, method="refinement_objective")
    np.testing.assert_allclose(found.precision_D, 0.2, rtol=1e-6)


@pytest.mark.parametrize(
    ("fields", "options", "refine", "message"),
    [
        ({"model": "top_k_sae"}, {}, True, "refine must be a whole number of passes, .* got True"),
        ({"model": "top_k_sae"}, {}, 1, "refine must be 0 for top_k_sae, which has no decoder"),
        ({}, {"latent_key": jax.random.key(0)}, 1, "refine must be 0 where latents are drawn"),
    ],
)
def test_what_cannot_be_refined_is_refused(blobs, fields, options, refine, message):
    model = untrained(blobs, **fields)
    model = Inference(model.state, model.info, copy=False, **options)
    with pytest.raises(ValueError, match=message):
        model.encode(to_unit_float(blobs.test_images[:2]), refine=refine)


def test_a_code_whose_neighbours_are_not_finite_stays():
    def decode(z_BxD):
        return jnp.where(z_BxD[:, :1] == 1.0, 1.0, jnp.nan)[:, :, None, None]

    z_D, active_D = jnp.ones(D), jnp.ones(D, bool)
    step = jax.jit(functools.partial(improved, decode, objective(size=1)))
    found_D, _ = step(jnp.zeros((1, 1, 1)), z_D, active_D)
    np.testing.assert_array_equal(found_D, z_D)
