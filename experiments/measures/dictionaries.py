"""Dictionaries of any inputs: trained, measured, and as one side of a stitching."""

import numpy as np

from experiments.study.bar import RowsBar
from vae_topk_jax.config import Config
from vae_topk_jax.inference import Inference
from vae_topk_jax.interop import SAE, in_input_units
from vae_topk_jax.metrics import explained_variance
from vae_topk_jax.metrics.stitching import Side
from vae_topk_jax.models import BatchTopKSAE
from vae_topk_jax.runs.inputs import Inputs


def train_on(inputs: Inputs, config: Config, bar: RowsBar) -> Inference:
    """A model of any inputs, trained while the bar moves."""
    info = inputs.info(config)
    turns = info.trainer.epochs(info.trainer.init(inputs.train), inputs.train)
    *_, last = bar.training(turns, info.trainer)
    return Inference(last.state, info)


def sae_metrics(model: Inference, x: np.ndarray) -> dict[str, float]:
    """What a sparse autoencoder keeps of its inputs, and with how many latents."""
    codes = np.asarray(model.encode(x))
    x_hat = np.asarray(model.decode(codes))
    return {
        "explained_variance": explained_variance(x, x_hat),
        "error": float(np.mean(np.square(x - x_hat))),
        "active_latents": float(np.mean(np.count_nonzero(codes, axis=1))),
        "active_dims": len(model.active_dims),
    }


def side_of(model: Inference, x: np.ndarray) -> Side:
    """The latents that are active anywhere in x: the others add nothing wherever they stand."""
    assert isinstance(model.model, BatchTopKSAE)
    codes = np.asarray(model.encode(x))
    params = in_input_units(SAE(model.model, model.variables))
    used = np.flatnonzero(codes.any(axis=0))
    return Side(codes[:, used], np.asarray(params["W_dec"])[used], np.asarray(params["b_dec"]))
