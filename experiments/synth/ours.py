"""This library's dictionaries on known features."""

import copy
import dataclasses
import time
from typing import Any

import numpy as np

from experiments.study.bar import RowsBar
from experiments.synth.found import Found
from experiments.synth.presets import Preset
from vae_topk_jax.config import Config, fields_for
from vae_topk_jax.inference import Inference
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.synthetic import GroundTruth

# Titles of rows, and the fields that make them.
MODELS: dict[str, dict[str, Any]] = {
    "BatchTopK SAE": {"model": "batch_topk_sae"},
    "Matryoshka BatchTopK SAE": {"model": "matryoshka_sae"},
    "TopK SAE": {"model": "top_k_sae"},
    "JumpReLU SAE": {
        "model": "jump_relu_sae",
        "sparsity_weight": 300.0,
        "first_threshold": 2.0,
        "bandwidth": 2.0,
    },
    "L1 SAE": {"model": "relu_sae", "sparsity_weight": 6.0},
    "Gated SAE": {"model": "gated_sae", "sparsity_weight": 6.6},
}


def config_of(title: str, preset: Preset, seed: int) -> Config:
    """The configuration of a row."""
    fields = {"k": preset.k, "pixel_reduction": "sum"} | MODELS[title]
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


def train(config: Config, preset: Preset, truth: GroundTruth, bar: RowsBar) -> Found:
    """A dictionary trained as the configuration says."""
    data = {"source": "synthetic", "train": preset.samples, "test": preset.evaluated}
    info = RunInfo(config, truth.image_shape, data)
    trainer = info.trainer
    running = trainer.epochs(trainer.init(truth), truth, segment=preset.steps // preset.turns)
    state, ends = None, []
    for turn in bar.training(running, trainer):
        state = turn.state
        ends.append(time.perf_counter())
    assert state is not None
    seconds = (ends[-1] - ends[0]) * preset.turns / (preset.turns - 1)  # the first turn compiles
    inference = Inference(state, info, copy=False)
    return Found(
        decoder_DxF=directions(inference),
        encode=lambda x_BxF: np.asarray(inference.encode(x_BxF[:, None, None])),
        decode=lambda z_BxD: np.asarray(inference.decode(z_BxD))[:, 0, 0],
        samples_per_second=preset.samples / seconds,
    )


def directions(inference: Inference) -> np.ndarray:
    """decoder_DxF: how a linear decoder's output moves with each latent."""
    unit_DxD = np.eye(inference.config.latent_dim, dtype=np.float32)
    moved_DxF = inference.decode(unit_DxD) - inference.decode(np.zeros_like(unit_DxD))
    return np.asarray(moved_DxF)[:, 0, 0]


def describe(config: Config, preset: Preset) -> dict[str, Any]:
    """What the numbers of a row depend on."""
    return {**config.to_dict(), **truth_settings(preset)}


def truth_settings(preset: Preset) -> dict[str, Any]:
    """What the numbers of every row depend on."""
    return {
        "setting": dataclasses.asdict(preset.setting),
        "samples": preset.samples,
        "evaluated": preset.evaluated,
    }
