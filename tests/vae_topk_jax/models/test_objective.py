"""The objectives of VAEs: each loss is its equation, padding and noise where there should be
none, what does not fit is refused."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_topk_jax.config import Config
from vae_topk_jax.models import BetaVAE, TopKVAE
from vae_topk_jax.objectives import IMQ_SCALES

B, D = 6, 3
BETA, WARMED = 0.5, 0.25  # half-way through the warm-up of beta
SIZES: dict[str, Any] = {"image_shape": (1, 1, 1), "latent_dim": D, "widths": (4,), "beta": BETA}
ADDED: dict[str, dict[str, Any]] = {
    "wae": {"mmd_weight": 4.0},
    "info_vae": {"mmd_weight": 4.0, "info_alpha": 0.25, "mmd_kernel": "rbf"},
    "rae": {"decoder_l2": 0.01, "decoder_gradient": 0.2},
}
MODELS = {name: BetaVAE(**SIZES, objective=name, **fields) for name, fields in ADDED.items()}
SPARSE = {
    "wae": TopKVAE(**SIZES, objective="wae", k=1, selection="sample", compute_dtype="bfloat16"),
    "info_vae": TopKVAE(**SIZES, objective="info_vae", k=1, selection="slot"),
}
VALID = np.arange(B + 2) < B


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    """Real images, and two of padding."""
    x = np.random.default_rng(0).random((B + 2, 1, 1, 1)).astype(np.float32)
    x[B:] = 1.0
    return x


def filled(model) -> dict:
    """Variables of a model, as if it were trained."""
    image = jax.ShapeDtypeStruct((1, 1, 1, 1), "float32")
    shapes = jax.eval_shape(model.init, jax.random.key(0), image)
    rng = np.random.default_rng(3)
    return jax.tree.map(
        lambda leaf: (
            np.ones(leaf.shape, leaf.dtype)
            if leaf.dtype == jnp.int32
            else rng.uniform(0.2, 0.8, leaf.shape).astype(np.float32)
        ),
        shapes,
    )


@pytest.fixture(scope="module")
def variables() -> dict:
    """Of all dense models: those without noise leave the head of the variance aside."""
    return filled(BetaVAE(**SIZES))


@pytest.fixture(scope="module")
def found(x, variables) -> dict:
    """The terms without noise of a padded batch, and what the encoder says of its images."""

    @jax.jit
    def of_all(variables):
        options = {"train": False, "progress": 0.25, "method": "loss"}
        terms = {
            name: model.apply(variables, x, x, VALID, **options)[1]
            for name, model in MODELS.items()
        }
        heads = BetaVAE(**SIZES).apply(variables, x[:B], method="posterior")
        return terms | {"heads": heads}

    return jax.tree.map(np.asarray, of_all(variables))


def discrepancy(z, kernel) -> float:
    """Of codes and the draws of the prior to which losses without noise compare them."""
    prior = np.asarray(jax.random.normal(jax.random.key(0), z.shape, jnp.float32))

    def k(x, y):
        squared = np.square(x[:, None] - y[None]).sum(2)
        if kernel == "rbf":
            return np.exp(-squared / (2 * D))
        return sum(2 * D * s / (2 * D * s + squared) for s in IMQ_SCALES)

    apart = 1 - np.eye(B)
    within = ((k(z, z) + k(prior, prior)) * apart).sum() / (B * (B - 1))
    return within - 2 * k(z, prior).mean()


def test_wae_is_reconstruction_and_mmd(found):
    mu, _ = found["heads"]
    terms = found["wae"]
    assert set(terms) == {"loss", "reconstruction", "mmd"}
    assert terms["mmd"] == pytest.approx(discrepancy(mu, "imq"), rel=1e-4)
    known = terms["reconstruction"] + WARMED * 4.0 * terms["mmd"] / D
    assert terms["loss"] == pytest.approx(known, rel=1e-5)


def test_info_vae_is_reconstruction_kl_and_mmd(found):
    mu, logvar = found["heads"]
    terms = found["info_vae"]
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).mean()
    known = (1 - 0.25) * kl + (0.25 + 4.0 - 1) * discrepancy(mu, "rbf") / D
    assert terms["loss"] == pytest.approx(terms["reconstruction"] + WARMED * known, rel=1e-4)


def test_rae_is_reconstruction_norms_and_the_jacobian(found, variables, x):
    """One output, of which a random sign gives the gradient's norm exactly."""
    mu, _ = found["heads"]
    first, last = (variables["params"]["decoder"][f"Dense_{i}"] for i in range(2))
    hidden = mu @ first["kernel"] + first["bias"][None]
    output = 1 / (1 + np.exp(-(np.maximum(hidden, 0) @ last["kernel"] + last["bias"][None])))
    slope = output * (1 - output) * ((hidden > 0) * last["kernel"][None, :, 0]) @ first["kernel"].T
    theta = sum(np.square(leaf).sum() for layer in (first, last) for leaf in layer.values())
    terms = found["rae"]
    penalty = 0.01 * theta + 0.2 * np.square(slope).sum(1).mean()
    assert terms["decoder_penalty"] == pytest.approx(penalty, rel=1e-5)
    assert terms["squared_norm"] == pytest.approx(np.square(mu).mean(), rel=1e-5)
    error = np.square(output - x[:B, 0, 0]).mean()
    known = error + WARMED * np.square(mu).mean() / 2 + penalty
    assert terms["loss"] == pytest.approx(known, rel=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("name", SPARSE)
def test_a_sparse_model_trains_with_it(x, name):
    """Finite gradients that reach the encoder; float32 terms; noise where there should be some."""
    model = SPARSE[name]
    variables = filled(model)

    @jax.jit
    @jax.vmap
    def of_keys(key):
        def loss(params):
            given, rngs = {**variables, "params": params}, {"latent": key}
            options = {"train": True, "method": "loss", "mutable": "batch_stats", "rngs": rngs}
            return model.apply(given, x, x, VALID, **options)[0]

        return jax.value_and_grad(loss, has_aux=True)(variables["params"])

    (loss, terms), gradients = jax.tree.map(np.asarray, of_keys(jax.random.split(
        jax.random.key(0), 2)))  # fmt: skip
    leaves = jax.tree.leaves((loss, terms, gradients))
    assert all(np.isfinite(leaf).all() and leaf.dtype == np.float32 for leaf in leaves)
    assert np.any(gradients["mu_head"]["kernel"] != 0)
    one, other = terms["reconstruction"]
    assert (one != other) == (name == "info_vae")
    assert ("logvar_head" in gradients) == (name == "info_vae")


NATS: dict[str, Any] = {"objective": "iwae", "pixel_reduction": "sum", "latent_reduction": "sum"}


@pytest.mark.long
def test_the_importance_weighted_loss_of_one_draw_is_the_elbo_and_of_more_is_below(x, variables):
    """In expectation over 4000 keys, with the encoder's and the decoder's gradients; and with a
    weight of the KL below 1."""
    fields = SIZES | NATS | {"likelihood": "bernoulli"}
    models = {s: BetaVAE(**fields, importance_samples=s) for s in (1, 8)}
    models[0] = BetaVAE(**fields).clone(objective="elbo")

    def loss(params, model, key):
        given = {"train": True, "method": "loss", "progress": 0.25, "rngs": {"latent": key}}
        return model.apply({**variables, "params": params}, x, x, VALID, **given)[0]

    @jax.jit
    @jax.vmap
    def of_key(key):
        params = variables["params"]
        return {s: jax.value_and_grad(loss)(params, model, key) for s, model in models.items()}

    found = jax.tree.map(np.asarray, of_key(jax.random.split(jax.random.key(0), 4000)))

    def assert_equal_means(one, other):
        error = 4.5 * (one - other).std(axis=0) / np.sqrt(len(one))
        assert np.all(np.abs(one.mean(axis=0) - other.mean(axis=0)) <= error + 1e-5)

    jax.tree.map(assert_equal_means, found[1], found[0])
    assert found[8][0].mean() < found[1][0].mean() - 0.01


@pytest.mark.long
def test_the_importance_weighted_loss_by_dimension_sees_the_mask(x, variables):
    """Latents that are masked change nothing but the weights, in which they have their prior."""
    model = TopKVAE(**SIZES, **NATS, k=1, selection="dimension", importance="fixed",
                    sensitivity_every=0)  # fmt: skip
    made = jax.jit(model.init)(jax.random.key(1), x)

    @jax.jit
    def decoder_gradient(params):
        def loss(params):
            return model.apply(
                {**made, "params": params}, x, x, train=True, method="loss",
                rngs={"latent": jax.random.key(0)}, mutable="batch_stats",
            )[0][0]  # fmt: skip

        return jax.grad(loss)(params)["decoder"]["Dense_0"]["kernel"]

    seen_D = np.any(np.asarray(decoder_gradient(made["params"])) != 0, axis=1)
    assert seen_D.sum() == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mmd_weight": 3.0}, "mmd_weight is of objective 'info_vae' and 'wae', got 3.0 with"),
        ({"objective": "wae", "info_alpha": 0.5}, "info_alpha is of objective 'info_vae', got"),
        ({"objective": "rae", "importance_samples": 9}, "importance_samples is of objective"),
        ({"objective": "info_vae", "mmd_weight": 0.2}, "mmd_weight must be at least 1 - info_al"),
        ({"objective": "iwae"}, "pixel_reduction must be 'sum' with objective 'iwae', got 'mean'"),
        (NATS | {"structural": 0.1}, "structural must be 0 with objective 'iwae', got 0.1"),
        (NATS | {"model": "top_k_vae"}, "objective must not be 'iwae' by element: a mask of"),
        ({"model": "top_k_vae", "objective": "wae", "kl_inactive": 2.0}, "kl_inactive must be 1"),
        (
            {"model": "top_k_vae", "objective": "rae", "score": "one_minus_sigma"},
            "score must not be 'one_minus_sigma' with objective 'rae'",
        ),
        ({"model": "beta_tc_vae", "objective": "wae"}, "objective is not a field of beta_tc_vae"),
        ({"model": "vaease", "objective": "rae"}, "objective is not a field of vaease"),
        ({"objective": "gan"}, "objective must be one of"),
    ],
)
def test_what_does_not_fit_is_refused(fields, message):
    with pytest.raises(ValueError, match=message) as error:
        Config(**{"model": "beta_vae"} | fields)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "fields",
    [{"objective": "rae"} | ADDED["rae"], NATS | {"importance_samples": 2}],
    ids=["rae", "iwae"],
)
def test_the_decoder_is_given_the_class_in_every_pass(x, fields):
    """Of a code that is the same for both classes the images differ."""
    model = BetaVAE(**SIZES, **fields, classes=2, label_dropout=0.0)
    params = filled(model)["params"]
    params["mu_head"] = jax.tree.map(np.zeros_like, params["mu_head"])
    options = {"train": True, "method": "loss", "rngs": {"latent": jax.random.key(0)}}
    losses = [
        model.apply({"params": params}, x, x, VALID, **options, label_B=jnp.full(len(x), label))[0]
        for label in range(2)
    ]
    assert np.isfinite(losses).all()
    assert abs(losses[0] - losses[1]) > 1e-4
