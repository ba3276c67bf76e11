"""Training on refined codes: what the loss has of them, and what comes of it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.models import MLP, SHAPE, SUMS, loss
from tests.helpers.runs import SMALL
from vae_topk_jax.config import Config
from vae_topk_jax.data import to_unit_float
from vae_topk_jax.inference import Inference
from vae_topk_jax.models import VAE, TopKVAE
from vae_topk_jax.models.refined import SHARE
from vae_topk_jax.refinement import refined_codes
from vae_topk_jax.run_info import RunInfo

MODELS: dict[str, VAE] = {
    "by element": TopKVAE(**MLP, k=2, selection="element", sensitivity_every=0),
    "by slot": TopKVAE(**MLP, k=2, selection="slot", mask_input=True, **SUMS),
}


@pytest.mark.long
@pytest.mark.parametrize("name", MODELS)
def test_the_term_is_the_error_of_refined_codes_and_teaches_the_decoder_alone(name):
    plain = MODELS[name]
    x = jax.random.uniform(jax.random.key(0), (3 * SHARE, *SHAPE))
    valid = jnp.arange(len(x)) < 2 * SHARE  # two of the three that are refined
    variables = plain.init(jax.random.key(1), x)

    @functools.partial(jax.jit, static_argnums=0)
    @functools.partial(jax.grad, argnums=1, has_aux=True)
    def slope_of(share, params, progress):
        model = plain.clone(train_refined=share)
        given = {**variables, "params": params}
        (total, terms), stats = loss(model, given, x, valid, progress=progress)
        return total, (terms, stats)

    plain_slope, (plain_terms, stats) = slope_of(0.0, variables["params"], 0.75)
    slope, (terms, _) = slope_of(0.25, variables["params"], 0.75)
    _, (early, _) = slope_of(0.25, variables["params"], 0.7)

    seen = {**variables, **stats}
    some = x[: 2 * SHARE : SHARE]
    decoded = plain.apply(seen, refined_codes(plain, seen, some, 1), method="decode")
    reduce = np.sum if plain.pixel_reduction == "sum" else np.mean
    expected = reduce(np.square(decoded - some), axis=(1, 2, 3)).mean()
    np.testing.assert_allclose(terms["refined"], expected, rtol=1e-4)
    np.testing.assert_allclose(terms["loss"], plain_terms["loss"] + expected, rtol=1e-4)
    assert early["refined"] == 0

    for part, slopes in slope.items():
        same = jax.tree.map(lambda a, b: np.allclose(a, b, 1e-3, 1e-6), slopes, plain_slope[part])
        assert all(jax.tree.leaves(same)) == (part != "decoder"), part


@pytest.mark.long
def test_refined_codes_are_decoded_better_by_a_decoder_that_has_seen_them(blobs):
    x = to_unit_float(blobs.test_images)
    config = SMALL.replace(selection="slot", mask_input=True, epochs=12, sensitivity_every=10)
    errors = []
    for share in (0.0, 0.5):
        info = RunInfo(config.replace(train_refined=share), blobs.image_shape, blobs.describe())
        *_, last = info.trainer.epochs(info.trainer.init(), blobs.train_images)
        decoded = Inference(last.state, info).reconstruct(x, refine=4)
        errors.append(np.mean(np.square(decoded - x)))
    assert errors[1] < 0.98 * errors[0], errors


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("vae", "train_refined must be 0 with objective 'iwae', got 0.5"),
        ("vaease", "train_refined is not a field of vaease"),
    ],
)
def test_it_is_refused_where_it_has_no_meaning(model, message):
    objective = {} if model == "vaease" else {"objective": "iwae"} | SUMS
    with pytest.raises(ValueError, match=message):
        Config(model, train_refined=0.5, **objective)
