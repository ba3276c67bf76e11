"""This library's dictionaries on known features."""

import copy
import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.synth.found import Found
from experiments.synth.presets import Preset
from vae_topk_jax.config import Config, fields_for
from vae_topk_jax.data.batches import epoch_batches
from vae_topk_jax.inference import Inference
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.synthetic import GroundTruth
from vae_topk_jax.training import Trainer

DRAWN = 16  # steps whose vectors are drawn at a time
_LINEAR = {
    "model": "top_k_vae",
    "likelihood": "squared_error",
    "latent_reduction": "sum",
}

# Titles of rows, and the fields that make them.
MODELS: dict[str, dict[str, Any]] = {
    "BatchTopK SAE": {"model": "batch_topk_sae"},
    "Matryoshka BatchTopK SAE": {"model": "matryoshka_sae"},
    "Matryoshka, five inner widths": {
        "model": "matryoshka_sae",
        "group_fractions": (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4),
    },
    "TopK SAE": {"model": "top_k_sae"},
    "JumpReLU SAE": {
        "model": "jump_relu_sae",
        "sparsity_weight": 300.0,
        "first_threshold": 2.0,
        "bandwidth": 2.0,
    },
    "L1 SAE": {"model": "relu_sae", "sparsity_weight": 6.0},
    "Gated SAE": {"model": "gated_sae", "sparsity_weight": 6.6},
    "Top-K VAE, linear, beta 1e-6": _LINEAR | {"beta": 1e-6},
    "Top-K VAE, linear, beta 0.001": _LINEAR | {"beta": 0.001},
    "Top-K VAE, linear, beta 1": _LINEAR | {"beta": 1.0},
    "Top-K VAE, linear, beta 1, KL of active latents": _LINEAR | {"beta": 1.0, "kl_inactive": 0.0},
}


def config_of(title: str, preset: Preset, seed: int) -> Config:
    """The configuration of a row."""
    fields: dict[str, Any] = {"k": preset.k, "pixel_reduction": "sum"} | MODELS[title]
    if "k" not in fields_for(fields["model"]):
        del fields["k"]
    config = Config(
        latent_dim=preset.latents,
        learning_rate=preset.learning_rate,
        schedule="constant",
        batch_size=preset.batch_size,
        epochs=1,
        seed=seed,
        **fields,
    )
    return linear(config) if fields["model"] == "top_k_vae" else config


def linear(config: Config) -> Config:
    """The same without hidden layers, of which `widths` has one at least."""
    config = copy.copy(config)
    object.__setattr__(config, "system", config.system.clone(widths=()))
    return config


def train(configs: Mapping[str, Config], preset: Preset, truth: GroundTruth) -> dict[str, Found]:
    """Dictionaries trained as the configurations of one seed say, by title.

    Of a small dictionary most of the time goes into drawing the vectors, so those of a seed are
    drawn once for all of its dictionaries.
    """
    data = {"source": "synthetic", "train": preset.samples, "test": preset.evaluated}
    infos = {title: RunInfo(config, truth.image_shape, data) for title, config in configs.items()}
    trainers = {title: info.trainer for title, info in infos.items()}
    states = {title: trainer.init(truth) for title, trainer in trainers.items()}
    key = Trainer.order_key(next(iter(states.values())))

    @jax.jit
    def draw(truth: GroundTruth, step: int) -> jax.Array:
        batches = epoch_batches(truth, key, 0, preset.samples, preset.batch_size)
        return jax.lax.map(lambda i: batches(i).x_BxHxWxC, step + jnp.arange(DRAWN))

    seconds = dict.fromkeys(configs, 0.0)
    for first in range(0, preset.steps, DRAWN):
        x_SxBxHxWxC = jax.block_until_ready(draw(truth, first))
        for title, trainer in trainers.items():
            started = time.perf_counter()
            for x_BxHxWxC in x_SxBxHxWxC:
                states[title], _ = trainer.train_step(states[title], x_BxHxWxC)
            jax.block_until_ready(states[title].params)
            seconds[title] += (time.perf_counter() - started) if first else 0.0
    timed = preset.samples - DRAWN * preset.batch_size  # the first steps compile
    return {
        title: found(Inference(states[title], infos[title], copy=False), timed / seconds[title])
        for title in configs
    }


def found(inference: Inference, samples_per_second: float) -> Found:
    """What is measured of a trained dictionary."""
    return Found(
        decoder_DxF=directions(inference),
        encode=lambda x_BxF: np.asarray(inference.encode(x_BxF[:, None, None])),
        decode=lambda z_BxD: np.asarray(inference.decode(z_BxD))[:, 0, 0],
        samples_per_second=samples_per_second,
    )


def directions(inference: Inference) -> np.ndarray:
    """decoder_DxF: how a linear decoder's output moves with each latent."""
    unit_DxD = np.eye(inference.config.latent_dim, dtype=np.float32)
    moved_DxF = inference.decode(unit_DxD) - inference.decode(np.zeros_like(unit_DxD))
    return np.asarray(moved_DxF)[:, 0, 0]


def describe(config: Config, preset: Preset) -> dict[str, Any]:
    """What the numbers of a row depend on."""
    fields = config.to_dict()
    if fields.get("widths") == []:
        del fields["widths"]
        fields["hidden_layers"] = 0
    return fields | truth_settings(preset)


def truth_settings(preset: Preset) -> dict[str, Any]:
    """What the numbers of every row depend on."""
    return {
        "setting": dataclasses.asdict(preset.setting),
        "samples": preset.samples,
        "evaluated": preset.evaluated,
    }
