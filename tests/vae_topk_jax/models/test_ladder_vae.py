"""The ladder VAE against its equations, written down again in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_topk_jax.config import Config
from vae_topk_jax.models import LadderVAE
from vae_topk_jax.statistics import find_statistics

SHAPE, LEVELS, KS = (4, 4, 1), (2, 3, 5), (2, 1, 2)
FIELDS = {
    "image_shape": SHAPE,
    "latent_dim": 10,
    "levels": LEVELS,
    "level_k": KS,
    "widths": (8, 6),
    "sensitivity_every": 2,
    "beta_warmup": 0.0,
    "beta": 0.1,
    "free_bits": 0.05,
}
MODEL = LadderVAE(**FIELDS)
VALID = np.array([1, 1, 1, 0])


def inference(model, variables, x) -> dict:
    def of(method, *args, **options):
        return model.apply(variables, *args, method=method, **options)

    codes = of("encode", x)
    return {
        "codes": codes,
        "found": of("inferred", x, sample=False, use_running_average=True),
        "latents": of("latents", x),
        "sparse": of("sparsify", codes),
        "decoded": of("decode", codes),
        "reconstructed": model.apply(variables, x),
        "z": of("decoder_input", codes),
        "loss": of("loss", x, x, VALID, train=False),
        "alone": of("encode", x[:1]),
        "sensitivity": jax.jacfwd(lambda z: of("decode", z[None])[0])(codes[0]),
    }


@pytest.fixture(scope="module")
def x() -> jax.Array:
    return jax.random.uniform(jax.random.key(0), (4, *SHAPE))


@pytest.fixture(scope="module")
def variables(x) -> dict:
    """After a step of training, with maps of the prior that are not zero."""
    variables = MODEL.init(jax.random.key(1), x)
    keys = iter(jax.random.split(jax.random.key(2), 99))
    drawn = jax.tree.map(
        lambda leaf: 0.5 * jax.random.normal(next(keys), leaf.shape),
        variables["params"]["top_down"],
    )
    params = variables["params"] | {"top_down": drawn}
    step = jax.jit(
        lambda variables, rngs: MODEL.apply(
            variables, x, x, VALID, train=True, method="loss", mutable="batch_stats", rngs=rngs
        )
    )
    variables = {"params": params, "batch_stats": variables["batch_stats"]}
    (_, terms), stats = step(variables, {"latent": jax.random.key(3)})
    assert np.isfinite(list(terms.values())).all()
    return variables | stats


@pytest.fixture(scope="module")
def seen(variables, x) -> dict:
    return jax.jit(lambda variables, x: inference(MODEL, variables, x))(variables, x)


def dense(layer: dict, h: np.ndarray) -> np.ndarray:
    return h @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])


def relu(h: np.ndarray) -> np.ndarray:
    return np.maximum(h, 0)


def test_a_level_is_inferred_from_features_and_from_the_levels_above(variables, seen, x):
    params = variables["params"]
    h = np.asarray(x).reshape(4, -1)
    for name in ("Dense_0", "Dense_1"):
        h = relu(dense(params["encoder"][name], h))
    features = [h]
    for name in ("climb_0", "climb_1"):
        features.append(relu(dense(params[name], features[-1])))
    context, above = None, []
    down = params["top_down"]
    for level, found in enumerate(seen["found"]):
        h = features.pop()
        of = params[f"posteriors_{level}"]
        heads = ["Dense_0", "Dense_1"]
        if level:
            known = above[-1] if context is None else np.concatenate([context, above[-1]], axis=1)
            context = relu(dense(down[f"contexts_{level - 1}"], known))
            h = relu(dense(of["Dense_0"], np.concatenate([h, context], axis=1)))
            heads = ["Dense_1", "Dense_2"]
        for name, value in zip(heads, (found.mu_BxD, found.logvar_BxD), strict=True):
            np.testing.assert_allclose(value, dense(of[name], h), atol=1e-5)
        code = np.asarray(found.code_BxD)
        assert np.all((code == 0) | (code == np.asarray(found.mu_BxD)))
        if level:
            mean, logscale = (
                dense(down[f"{x}_{level - 1}"], context) for x in ("means", "logscales")
            )
            code = mean + np.exp(2 * np.tanh(logscale / 2)) * code
        above.append(code)
    np.testing.assert_allclose(seen["z"], np.concatenate(above, axis=1), atol=1e-5)


def test_codes_latents_and_images_are_those_of_the_levels(seen):
    codes = [level.code_BxD for level in seen["found"]]
    np.testing.assert_array_equal(np.concatenate(codes, axis=1), seen["codes"])
    means = [level.mu_BxD for level in seen["found"]]
    np.testing.assert_array_equal(np.concatenate(means, axis=1), seen["latents"])
    np.testing.assert_allclose(seen["sparse"], seen["codes"], atol=1e-6)
    np.testing.assert_allclose(seen["decoded"], seen["reconstructed"], atol=1e-6)
    np.testing.assert_allclose(seen["alone"], seen["codes"][:1], atol=1e-6)
    parts = MODEL.by_level(np.asarray(seen["codes"]))
    assert [part.shape for part in parts] == [(4, size) for size in LEVELS]
    assert np.all(parts[0] != 0)  # K = 2 of 2: dense


def test_the_kl_of_a_level_counts_from_its_free_bits_on(seen):
    total, terms = seen["loss"]
    kls = []
    for level in seen["found"]:
        mu, logvar = np.asarray(level.mu_BxD)[:3], np.asarray(level.logvar_BxD)[:3]
        kls.append(0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1).mean())
    assert min(kls) < FIELDS["free_bits"] < max(kls)
    np.testing.assert_allclose([terms[f"kl_{n}"] for n in (1, 2, 3)], np.array(kls) / 10, rtol=1e-4)
    np.testing.assert_allclose(terms["kl"], sum(kls) / 10, rtol=1e-4)
    bound = terms["reconstruction"] + 0.1 * np.maximum(kls, FIELDS["free_bits"]).sum() / 10
    np.testing.assert_allclose(total, bound, rtol=1e-5)
