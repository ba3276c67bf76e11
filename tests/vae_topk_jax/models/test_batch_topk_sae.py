"""BatchTopKSAE against its equations in NumPy, and against `dictionary_learning` where it is there.

The rest: sparsity on data that it has not seen, dead latents, constraints, streams.
"""

import functools
import warnings
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_topk_jax.config import Config
from vae_topk_jax.inference import Inference
from vae_topk_jax.models import BatchTopKSAE
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.vectors import geometric_median

F, D, K, B = 12, 20, 3, 16
AUX_K, DEAD_AFTER, DECAY, START = 4, 40, 0.9, 2
MODEL = BatchTopKSAE(
    image_shape=(1, 1, F),
    latent_dim=D,
    k=K,
    ema_decay=DECAY,
    threshold_start=START,
    aux_k=AUX_K,
    dead_after=DEAD_AFTER,
    pixel_reduction="sum",
)


class Reference(NamedTuple):
    """What one training batch gives."""

    z: np.ndarray
    x_hat: np.ndarray
    reconstruction: float
    auxiliary: float
    threshold: float
    silent: np.ndarray


def numpy_step(params, x, threshold, silent, step) -> Reference:
    """The equations of the paper and its code, in float64 and without the model's own functions."""
    W_enc, b_enc, W_dec, b_dec = (
        np.asarray(params[name], np.float64) for name in ("W_enc", "b_enc", "W_dec", "b_dec")
    )
    x = np.asarray(x, np.float64).reshape(len(x), -1)
    f = np.maximum((x - b_dec) @ W_enc + b_enc, 0)
    z = np.zeros(f.size)
    largest = np.argsort(-f.ravel())[: len(x) * K]
    z[largest] = f.ravel()[largest]
    z = z.reshape(f.shape)
    x_hat = z @ W_dec + b_dec
    residual = x - x_hat

    smallest = z[z > 0].min()
    seen = max(step - START, 0.1 * step)
    decay = min(DECAY, seen / (seen + 1))
    threshold = decay * threshold + (1 - decay) * smallest

    silent = np.where((z > 0).any(axis=0), 0, np.minimum(silent + len(x), DEAD_AFTER))
    dead = np.flatnonzero(silent >= DEAD_AFTER)
    auxiliary = 0.0
    if len(dead):
        f_aux = np.zeros_like(f)
        for row, values in zip(f_aux, f, strict=True):
            chosen = dead[np.argsort(-values[dead])[:AUX_K]]
            row[chosen] = values[chosen]
        error = np.square(residual - f_aux @ W_dec).sum(axis=1).mean()
        auxiliary = error / np.square(residual - residual.mean(axis=0)).sum(axis=1).mean()
    return Reference(z, x_hat, np.square(residual).sum(axis=1).mean(), auxiliary, threshold, silent)


@functools.partial(jax.jit, static_argnames="model")
def train_loss(model, variables, x, valid=None, progress=1.0):
    return model.apply(
        variables,
        x,
        x,
        valid,
        train=True,
        progress=progress,
        method="loss",
        mutable=["batch_stats"],
    )


@pytest.fixture(scope="module")
def x() -> jax.Array:
    return 0.3 + jax.random.normal(jax.random.key(0), (B, 1, 1, F))


@pytest.fixture(scope="module")
def variables(x) -> dict:
    """Weights of which four latents stay silent in `x`."""
    variables = MODEL.init(jax.random.key(1), x)
    params = variables["params"]
    params["W_enc"] += 0.1 * jax.random.normal(jax.random.key(2), (F, D))
    params["b_enc"] = 0.1 * jax.random.normal(jax.random.key(3), (D,))
    params["b_enc"] = params["b_enc"].at[:4].set(-1.0)
    params["b_dec"] = 0.1 * jax.random.normal(jax.random.key(4), (F,))
    return variables


def statistics(variables: dict) -> dict:
    return variables["batch_stats"]["batch_top_k"]


def test_training_follows_the_equations(variables, x):
    threshold, silent = 0.0, np.zeros(D)
    for step in range(6):
        batch = x[:, :, :, ::-1] if step % 2 else x
        (_, terms), stats = train_loss(MODEL, variables, batch)
        expected = numpy_step(variables["params"], batch, threshold, silent, step)
        threshold, silent = expected.threshold, expected.silent
        z, _ = MODEL.apply(
            variables, batch, use_running_average=False, method="encode", mutable=["batch_stats"]
        )
        np.testing.assert_allclose(z, expected.z, rtol=1e-5, atol=1e-5)
        x_hat = MODEL.apply(variables, z, method="decode")
        np.testing.assert_allclose(x_hat[:, 0, 0], expected.x_hat, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(terms["reconstruction"], expected.reconstruction, rtol=1e-5)
        np.testing.assert_allclose(terms["auxiliary"], expected.auxiliary, rtol=1e-5)
        total = expected.reconstruction + expected.auxiliary / 32
        np.testing.assert_allclose(terms["loss"], total, rtol=1e-5)
        assert terms["dead"].item() == np.sum(silent >= DEAD_AFTER)
        variables = {**variables, **stats}
        np.testing.assert_allclose(statistics(variables)["threshold"], threshold, rtol=1e-5)
        np.testing.assert_array_equal(stats["batch_stats"]["silent"], silent)
        f = MODEL.apply(variables, batch, method="latents")
        np.testing.assert_array_equal(
            MODEL.apply(variables, batch, method="encode"), np.where(f >= threshold, f, 0)
        )
    assert 0 < terms["dead"] < D
    assert terms["auxiliary"] > 0


def test_the_dead_explain_the_residual_and_nothing_else_learns_from_it(variables, x):
    dead = {**variables["batch_stats"], "silent": jnp.where(jnp.arange(D) < 4, DEAD_AFTER, 0)}

    def loss_of(params, weight):
        model = MODEL.clone(aux_weight=weight)
        (loss, _), _ = train_loss(model, {"params": params, "batch_stats": dead}, x)
        return loss

    with_it, without = (jax.grad(loss_of)(variables["params"], w) for w in (1.0, 0.0))
    by_auxiliary = jax.tree.map(lambda a, b: np.abs(a - b), with_it, without)
    for name, axis in (("W_dec", 1), ("W_enc", 0)):
        reached = by_auxiliary[name].max(axis=axis) > 1e-4
        assert reached[:4].any()
        assert not reached[4:].any()


def test_padding_changes_nothing(variables, x):
    padded = jnp.concatenate([x, jnp.full((8, 1, 1, F), 9.0)])
    (_, terms), stats = train_loss(MODEL, variables, x)
    again, padded_stats = train_loss(MODEL, variables, padded, jnp.arange(B + 8) < B)
    chex.assert_trees_all_close(again[1], terms, rtol=1e-5)
    chex.assert_trees_all_close(padded_stats, stats, rtol=1e-5)


def test_inference_before_training_is_refused(variables, x):
    with pytest.raises(ValueError, match="has seen no batch yet"):
        MODEL.apply(variables, x, method="encode")
    assert np.isnan(jax.jit(MODEL.apply)(variables, x)).all()


def test_fewer_and_fewer_latents_pass_until_k_but_the_threshold_is_that_of_k(variables, x):
    model = MODEL.clone(k_anneal=0.5)
    _, plain = train_loss(MODEL, variables, x)
    errors = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        (_, terms), stats = train_loss(model, variables, x, progress=progress)
        errors.append(terms["reconstruction"].item())
        chex.assert_trees_all_equal(statistics(stats), statistics(plain))
    assert errors[2] == errors[3]
    assert len(set(errors)) == 3


def test_a_low_precision_keeps_its_statistics_in_float32(variables, x):
    model = MODEL.clone(compute_dtype="bfloat16", ema_decay=0.999, threshold_start=0)
    stats = statistics(variables) | {"count": jnp.asarray(5000), "threshold": jnp.asarray(0.5)}
    held = {**variables, "batch_stats": {**variables["batch_stats"], "batch_top_k": stats}}
    (_, terms), after = train_loss(model, held, x)
    assert terms["loss"].dtype == statistics(after)["threshold"].dtype == jnp.float32
    (_, exact), _ = train_loss(MODEL, variables, x)
    np.testing.assert_allclose(terms["reconstruction"], exact["reconstruction"], rtol=0.05)
    _, reference = train_loss(MODEL, variables, x)
    moved = 0.001 * (statistics(reference)["threshold"] - 0.5)
    np.testing.assert_allclose(statistics(after)["threshold"] - 0.5, moved, rtol=0.05)


def test_the_geometric_median_is_where_the_pulls_cancel():
    x_NxF = np.random.default_rng(0).exponential(size=(64, 5)).astype(np.float32)
    median = np.asarray(geometric_median(x_NxF))
    pulls = (x_NxF - median) / np.linalg.norm(x_NxF - median, axis=1, keepdims=True)
    np.testing.assert_allclose(pulls.sum(axis=0), 0, atol=1e-3)
    assert np.linalg.norm(median - x_NxF.mean(axis=0)) > 0.05


class SparseData(NamedTuple):
    """Sums of about 4 of 24 directions, in vectors of 16 numbers."""

    train: np.ndarray
    test: np.ndarray
    directions: np.ndarray


SPARSE = Config(
    model="batch_topk_sae",
    latent_dim=24,
    k=4,
    batch_size=256,
    epochs=40,
    learning_rate=5e-3,
    threshold_start=200,
    dead_after=2000,
)


@pytest.fixture(scope="module")
def sparse_data() -> SparseData:
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(24, 16))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)

    def draw(n: int) -> np.ndarray:
        codes = rng.uniform(1, 2, (n, 24)) * (rng.random((n, 24)) < 4 / 24)
        return (0.5 + codes @ directions).astype(np.float32)[:, None, None]

    return SparseData(draw(4096), draw(4096), directions)


def info_of(config: Config, data: SparseData) -> RunInfo:
    return RunInfo(config, (1, 1, 16), {"source": "made", "train": 4096, "test": 4096})


def train(config: Config, data: SparseData) -> Inference:
    info = info_of(config, data)
    *_, last = info.trainer.epochs(info.trainer.init(data.train), data.train)
    assert last.terms["skipped"] == 0
    return Inference(last.state, info)


@pytest.fixture(scope="module")
def sae(sparse_data) -> Inference:
    return train(SPARSE, sparse_data)


@pytest.mark.long
def test_k_latents_are_active_on_average_in_data_it_has_not_seen(sae, sparse_data):
    active_N = np.sum(np.asarray(sae.encode(sparse_data.test)) != 0, axis=1)
    assert abs(active_N.mean() / SPARSE.k - 1) < 0.02
    assert active_N.std() > 0.5  # k on average, not in each
    np.testing.assert_allclose(sae.frequency.sum(), SPARSE.k, rtol=0.02)


def test_it_explains_the_data_and_keeps_its_directions_of_unit_length(sae, sparse_data):
    W_dec = np.asarray(sae.state.params["W_dec"])
    np.testing.assert_allclose(np.linalg.norm(W_dec, axis=1), 1, rtol=1e-5)
    error = np.square(np.asarray(sae.reconstruct(sparse_data.test)) - sparse_data.test).mean()
    assert error < 0.25 * sparse_data.test.var(axis=0).mean()


def test_its_prior_draws_latents_as_often_and_as_large_as_in_training(sae, sparse_data):
    codes = np.asarray(sae.encode(sparse_data.train))
    prior = sae.model.apply(
        sae.variables, 4096, sae.frequency, rngs={"latent": jax.random.key(0)}, method="prior"
    )
    np.testing.assert_allclose(np.mean(prior != 0, axis=0), np.mean(codes != 0, axis=0), atol=0.05)
    np.testing.assert_allclose(np.mean(prior, axis=0), codes.mean(axis=0), atol=0.1)
    assert sae.generate(jax.random.key(1), 3).shape == (3, 1, 1, 16)


@pytest.mark.long
def test_dead_latents_come_back(sparse_data):
    def dead_at_the_end(aux_weight: float) -> float:
        config = SPARSE.replace(latent_dim=48, epochs=10, aux_weight=aux_weight, aux_k=8)
        trainer = info_of(config, sparse_data).trainer
        state = trainer.init(sparse_data.train)
        state.params["b_enc"] = state.params["b_enc"].at[24:].set(-1.5)
        *_, last = trainer.epochs(state, sparse_data.train)
        return last.terms["dead"]

    left_alone = dead_at_the_end(0.0)
    assert left_alone > 10
    assert dead_at_the_end(1.0) < 0.5 * left_alone


def test_the_start_is_the_median_and_the_transpose(sparse_data):
    trainer = info_of(SPARSE, sparse_data).trainer
    params = trainer.init(sparse_data.train).params
    np.testing.assert_allclose(
        params["b_dec"], geometric_median(sparse_data.train[:, 0, 0]), rtol=1e-5
    )
    np.testing.assert_array_equal(params["W_enc"], params["W_dec"].T)


def test_a_stream_trains_as_its_batches_do(sparse_data):
    trainer = info_of(SPARSE, sparse_data).trainer
    batches = sparse_data.train.reshape(16, 256, 1, 1, 16)
    *_, (state, terms) = trainer.stream(trainer.init(batches[0]), iter(batches))
    expected = trainer.init(batches[0])
    for batch in batches:
        expected, _ = trainer.train_step(expected, jnp.asarray(batch))
    chex.assert_trees_all_equal(state.params, expected.params)
    assert int(state.step) == 16
    assert np.isfinite(terms["loss"])


@pytest.mark.parametrize("spoil", [lambda x: x.astype(np.float64), lambda x: x[:, 0]])
def test_a_stream_of_other_arrays_is_refused(sparse_data, spoil):
    trainer = info_of(SPARSE, sparse_data).trainer
    with pytest.raises(ValueError, match=r"a batch must be float32 of shape \(B, 1, 1, 16\), got"):
        next(trainer.stream(trainer.init(), [spoil(sparse_data.train[:8])]))


def test_the_same_as_dictionary_learning(variables, x):
    """Codes, loss and threshold, and the weights after each of five steps of Adam."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch")
        theirs = pytest.importorskip("dictionary_learning.trainers.batch_top_k")
    model, rate = MODEL.clone(threshold_start=0), 1e-2
    trainer = theirs.BatchTopKTrainer(
        steps=1000,
        activation_dim=F,
        dict_size=D,
        k=K,
        layer=0,
        lm_name="none",
        lr=rate,
        warmup_steps=0,
        threshold_beta=DECAY,
        threshold_start_step=-1,
        device="cpu",
    )
    trainer.top_k_aux, trainer.dead_feature_threshold = AUX_K, DEAD_AFTER
    sae, flat = trainer.ae, torch.tensor(np.array(x[:, 0, 0]))
    median = trainer.geometric_median(flat)  # where their first step puts b_dec
    np.testing.assert_allclose(geometric_median(x[:, 0, 0]), median, atol=1e-4)

    params = variables["params"] | {"b_dec": jnp.asarray(median.numpy())}
    sae.encoder.weight.data = torch.tensor(np.array(params["W_enc"].T))
    sae.encoder.bias.data = torch.tensor(np.array(params["b_enc"]))
    sae.decoder.weight.data = torch.tensor(np.array(params["W_dec"].T))
    optimizer = model.optimizer(optax.adam(rate))
    held, state = {**variables, "params": params}, optimizer.init(params)

    def loss_of(params, batch_stats):
        (loss, terms), stats = train_loss(model, {"params": params, "batch_stats": batch_stats}, x)
        return loss, (terms, stats)

    for step in range(5):
        z, _ = model.apply(
            held, x, use_running_average=False, method="encode", mutable=["batch_stats"]
        )
        if step:
            np.testing.assert_allclose(z, _numpy(sae.encode(flat, use_threshold=False)), atol=1e-5)
        (loss, (terms, stats)), grads = jax.value_and_grad(loss_of, has_aux=True)(
            held["params"], held["batch_stats"]
        )
        np.testing.assert_allclose(loss, trainer.update(step, flat), rtol=1e-5)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimizer.update(grads, state, held["params"])
        held = {"params": optax.apply_updates(held["params"], updates), **stats}
        expected = {
            "W_enc": sae.encoder.weight.T,
            "b_enc": sae.encoder.bias,
            "W_dec": sae.decoder.weight.T,
            "b_dec": sae.b_dec,
        }
        chex.assert_trees_all_close(held["params"], jax.tree.map(_numpy, expected), atol=1e-5)
        np.testing.assert_allclose(statistics(held)["threshold"], sae.threshold, rtol=1e-5)
        # ours starts as a plain mean; from here on both are exponential
        statistics(held)["count"] = jnp.asarray(100)
    assert terms["dead"] > 0


def _numpy(tensor) -> np.ndarray:
    return tensor.detach().numpy()
