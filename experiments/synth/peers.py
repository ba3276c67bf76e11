"""The dictionaries of sae_lens and dictionary_learning on the same known features.

Their trainers, with their defaults beside what the preset says, get the batches that ours make for
themselves; so the samples are of one distribution, and a training is not slowed by another
generator.
"""

import importlib.util
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.synth.found import Found
from experiments.synth.presets import Preset
from vae_topk_jax.data.batches import epoch_batches
from vae_topk_jax.synthetic import GroundTruth, Setting

GROUP_FRACTIONS = (1 / 32, 1 / 8, 1 / 2, 1)


class Peer(NamedTuple):
    """A training elsewhere.

    Attributes:
        module: what must be installed.
        train: (preset, ground truth, seed) -> the dictionary.
    """

    module: str
    train: Callable[[Preset, GroundTruth, int], Found]


def tensors(truth: GroundTruth, preset: Preset, seed: int) -> Iterator[Any]:
    """x_BxF of every step, as torch has it."""
    import torch

    key = jax.random.key(seed)

    @jax.jit
    def vectors(truth: GroundTruth, step: int) -> jax.Array:
        make = epoch_batches(truth, key, 0, preset.samples, preset.batch_size)
        return make(step).x_BxHxWxC[:, 0, 0]

    for step in range(preset.steps):
        yield torch.from_numpy(np.array(vectors(truth, step)))


def saelens_trees(setting: Setting) -> Any:
    """Its trees of features, as ours stand: siblings exclude each other, and a child is as strong
    as its parent."""
    from sae_lens import synthetic

    return synthetic.generate_hierarchy(
        setting.features,
        synthetic.HierarchyConfig(
            total_root_nodes=setting.roots,
            branching_factor=setting.branching,
            max_depth=setting.depth,
            mutually_exclusive_portion=1.0,
            compensate_probabilities=True,
            scale_children_by_parent=True,
        ),
    )


def saelens_generator(truth: GroundTruth, trees: Any) -> Any:
    """Its generator of the features of a ground truth, with these trees; `sample(n)` draws them."""
    import torch
    from sae_lens import synthetic

    probability, deviation, mean, factor, own = (
        torch.from_numpy(np.array(array))
        for array in (
            *(truth.probability_G, truth.deviation_G, truth.mean_G),
            *truth.correlation,
        )
    )
    return synthetic.ActivationGenerator(
        num_features=len(mean),
        firing_probabilities=probability,
        std_firing_magnitudes=deviation,
        mean_firing_magnitudes=mean,
        modify_activations=trees.modifier,
        correlation_matrix=(factor, own**2),
    )


def saelens_trainer(
    matryoshka: bool, preset: Preset, seed: int, batches: Iterator[Any]
) -> tuple[Any, Any]:
    """Its trainer on these batches, and the SAE that is trained."""
    import sae_lens
    import torch
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    torch.manual_seed(seed)
    sizes = {"d_in": preset.setting.inputs, "d_sae": preset.latents, "k": float(preset.k)}
    if matryoshka:
        widths = [max(1, round(part * preset.latents)) for part in GROUP_FRACTIONS]
        sae: Any = sae_lens.MatryoshkaBatchTopKTrainingSAE(
            sae_lens.MatryoshkaBatchTopKTrainingSAEConfig(**sizes, matryoshka_widths=widths)
        )
    else:
        sae = sae_lens.BatchTopKTrainingSAE(sae_lens.BatchTopKTrainingSAEConfig(**sizes))
    settings = SAETrainerConfig(
        n_checkpoints=0,
        checkpoint_path=None,
        save_final_checkpoint=False,
        total_training_samples=preset.steps * preset.batch_size,
        device="cpu",
        autocast=False,
        lr=preset.learning_rate,
        lr_end=preset.learning_rate,
        lr_scheduler_name="constant",
        lr_warm_up_steps=0,
        adam_beta1=0.9,
        adam_beta2=0.999,
        lr_decay_steps=0,
        n_restart_cycles=1,
        train_batch_size_samples=preset.batch_size,
        dead_feature_window=1000,
        feature_sampling_window=2000,
        logger=LoggingConfig(log_to_wandb=False),
    )
    return SAETrainer(settings, sae, batches), sae


def _saelens(matryoshka: bool, preset: Preset, truth: GroundTruth, seed: int) -> Found:
    trainer, sae = saelens_trainer(matryoshka, preset, seed, tensors(truth, preset, seed))
    started = time.perf_counter()
    trainer.fit()
    seconds = time.perf_counter() - started
    # what it saves for inference: a JumpReLU dictionary with the running threshold
    weights = {name: tensor.detach().clone() for name, tensor in sae.state_dict().items()}
    sae.process_state_dict_for_saving_inference(weights)
    W_enc, b_enc, W_dec, b_dec, threshold_D = (
        weights[name].float().numpy() for name in ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")
    )
    return _jump_relu(W_enc, b_enc, W_dec, b_dec, threshold_D, preset.samples / seconds)


def dictionary_learning_trainer(preset: Preset, seed: int) -> Any:
    """Its BatchTopK trainer; `update(step, x)` is a step."""
    from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer

    return BatchTopKTrainer(
        steps=preset.steps,
        activation_dim=preset.setting.inputs,
        dict_size=preset.latents,
        k=preset.k,
        layer=0,
        lm_name="",
        lr=preset.learning_rate,
        warmup_steps=0,
        seed=seed,
        device="cpu",
    )


def _dictionary_learning(preset: Preset, truth: GroundTruth, seed: int) -> Found:
    trainer = dictionary_learning_trainer(preset, seed)
    started = time.perf_counter()
    for step, x in enumerate(tensors(truth, preset, seed)):
        trainer.update(step, x)
    seconds = time.perf_counter() - started
    weights = {name: np.array(tensor) for name, tensor in trainer.ae.state_dict().items()}
    W_enc, W_dec = (weights[f"{part}.weight"].T for part in ("encoder", "decoder"))
    b_enc, b_dec, threshold = (weights[n] for n in ("encoder.bias", "b_dec", "threshold"))
    threshold_D = np.broadcast_to(threshold, b_enc.shape)
    return _jump_relu(W_enc, b_enc, W_dec, b_dec, threshold_D, preset.samples / seconds)


def _jump_relu(
    W_enc: np.ndarray,
    b_enc: np.ndarray,
    W_dec: np.ndarray,
    b_dec: np.ndarray,
    threshold_D: np.ndarray,
    samples_per_second: float,
) -> Found:
    def encode(x_BxF: np.ndarray) -> np.ndarray:
        pre_BxD = (x_BxF - b_dec) @ W_enc + b_enc
        return np.where(pre_BxD > threshold_D, np.maximum(pre_BxD, 0), 0)

    return Found(W_dec, encode, lambda z_BxD: z_BxD @ W_dec + b_dec, samples_per_second)


PEERS = {
    "sae_lens, BatchTopK": Peer("sae_lens", lambda *given: _saelens(False, *given)),
    "sae_lens, Matryoshka": Peer("sae_lens", lambda *given: _saelens(True, *given)),
    "dictionary_learning, BatchTopK": Peer("dictionary_learning", _dictionary_learning),
}


def installed() -> dict[str, Peer]:
    """Those that can run here."""
    return {title: peer for title, peer in PEERS.items() if importlib.util.find_spec(peer.module)}
