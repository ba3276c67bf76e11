"""The programs that are compiled for accelerators, traced over arrays that are not there."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh, Sharding
from jax.stages import Traced

from experiments.bench.sizes import Sizes
from experiments.study.lineup import BASELINE, DIMENSION, ELEMENT, SAMPLE, trained_models
from vae_topk_jax.bottleneck import BatchTopK
from vae_topk_jax.config import Config
from vae_topk_jax.rule import SelectionRule
from vae_topk_jax.sharding import batch_sharding, make_mesh, replicated, state_sharding
from vae_topk_jax.training import Trainer

Precision = Literal["float32", "bfloat16"]
Programs = Iterator[tuple[str, Callable[[], Traced]]]

IMAGE_SHAPE = (28, 28, 1)
SERVED = 1024  # images in a call of a trained model
LATENT_DIM, K = 64, 8
MODELS = (BASELINE, DIMENSION, ELEMENT, SAMPLE)
_RUN = 10_000  # batches of the run of a dictionary


def programs(devices: Sequence[jax.Device], sizes: Sizes) -> Programs:
    """Titles, and what traces them, of everything that is compiled for these devices.

    Models of images have 128 images in a batch for each device. Batches of the dictionary and of
    the bottleneck are those of `sizes`, split over the devices. For several devices what serves
    a trained model is left out, and of the models of images all but the default in bfloat16.
    """
    mesh = make_mesh(devices=devices)
    is_alone = len(devices) == 1
    types: tuple[Precision, ...] = ("float32", "bfloat16")
    for dtype in types:
        configs = image_configs(sizes, len(devices), dtype)
        for model, config in configs.items():
            if is_alone or dtype == "float32" or model == ELEMENT:
                yield f"step, {model}, {dtype}", functools.partial(step, config, mesh)
        config = configs[ELEMENT]
        if dtype == "float32":
            yield f"epoch, {ELEMENT}", functools.partial(epoch, config, mesh, sizes.images)
        if is_alone:
            yield f"evaluation, {ELEMENT}, {dtype}", functools.partial(evaluation, config, mesh)
            yield f"encode, {ELEMENT}, {dtype}", functools.partial(encode, config, mesh)
            yield f"generate, {ELEMENT}, {dtype}", functools.partial(generate, config, mesh)
        size, inputs, latents, k = sizes.dictionaries[-1]
        config = dictionary_config(size, latents, k, dtype)
        yield f"step, dictionary, {dtype}", functools.partial(step, config, mesh, (1, 1, inputs))
    size, latents = sizes.bottlenecks[-1]
    for rule in ("dimension", "element", "sample"):
        traced = functools.partial(bottleneck, rule, size, latents, batch_sharding(mesh))
        yield f"bottleneck by {rule}, ({size}, {latents})", traced


def image_configs(sizes: Sizes, devices: int, dtype: Precision) -> dict[str, Config]:
    """The models of Table 1, MLPs with a batch of 128 images for each device."""
    shared = Config(
        epochs=15, batch_size=128 * devices, widths=sizes.mlp_widths, compute_dtype=dtype
    )
    models = trained_models(LATENT_DIM, K)
    return {title: shared.replace(**models[title]) for title in MODELS}


def dictionary_config(size: int, latents: int, k: int, dtype: Precision) -> Config:
    """A BatchTopK SAE, one epoch."""
    return Config(
        model="batch_topk_sae",
        latent_dim=latents,
        k=k,
        batch_size=size,
        epochs=1,
        compute_dtype=dtype,
    )


def step(config: Config, mesh: Mesh, shape: Sequence[int] = IMAGE_SHAPE) -> Traced:
    """A training step of float32 images, or vectors, of that shape."""
    trainer = Trainer(config, shape, _RUN * config.batch_size, mesh)
    return trainer.train_step.trace(_state(trainer), _batch(trainer))  # type: ignore[attr-defined]


def epoch(config: Config, mesh: Mesh, images: int) -> Traced:
    """An epoch over so many uint8 images that lie on every device."""
    trainer = Trainer(config, IMAGE_SHAPE, images, mesh)
    x = jax.ShapeDtypeStruct((images, *IMAGE_SHAPE), jnp.uint8, sharding=replicated(mesh))
    return trainer.segment.trace(_state(trainer), x, trainer.steps_per_epoch)  # type: ignore[attr-defined]


def evaluation(config: Config, mesh: Mesh) -> Traced:
    """The loss terms of a batch at inference."""
    trainer = Trainer(config, IMAGE_SHAPE, config.batch_size, mesh)
    return trainer.eval_step.trace(_state(trainer), _batch(trainer))  # type: ignore[attr-defined]


def encode(config: Config, mesh: Mesh) -> Traced:
    """Codes of images, as `Inference.encode` compiles it."""
    trainer = Trainer(config, IMAGE_SHAPE, config.batch_size, mesh)
    x = jax.ShapeDtypeStruct((SERVED, *IMAGE_SHAPE), jnp.float32, sharding=replicated(mesh))
    apply = functools.partial(trainer.model.apply, method="encode")
    return jax.jit(apply).trace(_state(trainer).variables, x)


def generate(config: Config, mesh: Mesh) -> Traced:
    """Images from the prior, the two programs of `Inference.generate` as one."""
    trainer = Trainer(config, IMAGE_SHAPE, config.batch_size, mesh)
    state = _state(trainer)

    def draw(variables: Any, frequency_D: Array, key: Array) -> Any:
        apply = functools.partial(trainer.model.apply, variables)
        codes = apply(SERVED, frequency_D, method="prior", rngs={"latent": key})
        return apply(codes, method="decode")

    frequency_D = jax.ShapeDtypeStruct((config.latent_dim,), jnp.float32, sharding=replicated(mesh))
    return jax.jit(draw).trace(state.variables, frequency_D, state.rng)


def bottleneck(rule: SelectionRule, size: int, latents: int, sharding: Sharding) -> Traced:
    """The layer alone in training: z_BxD -> the masked latent and the updated statistics."""
    layer = BatchTopK(min(32, latents // 8), importance="mean_abs_z", selection=rule)
    init = functools.partial(layer.init, use_running_average=False)
    statistics = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, latents)))

    def train(statistics: Any, z_BxD: Array) -> Any:
        return layer.apply(statistics, z_BxD, use_running_average=False, mutable="batch_stats")

    z_BxD = jax.ShapeDtypeStruct((size, latents), jnp.float32, sharding=sharding)
    return jax.jit(train).trace(statistics, z_BxD)


def _state(trainer: Trainer) -> Any:
    assert trainer.mesh is not None
    abstract = trainer.abstract_state()
    shardings = state_sharding(trainer.mesh, abstract, trainer.config.latent_dim)
    return jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        abstract,
        shardings,
    )


def _batch(trainer: Trainer) -> jax.ShapeDtypeStruct:
    assert trainer.mesh is not None
    shape = (trainer.config.batch_size, *trainer.image_shape)
    return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=batch_sharding(trainer.mesh))
