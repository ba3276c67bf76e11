"""The same model in other libraries, where they are installed."""

import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from experiments.bench.bench import Bench
from experiments.bench.peers.pythae import PythaeRun
from experiments.bench.peers.pytorch import TorchRun
from vae_topk_jax.config import Config

Epoch = Callable[[], float]


class Peer(NamedTuple):
    """A training run elsewhere.

    Attributes:
        module: what must be installed.
        start: (config of the Top-K VAE, images) -> one more epoch per call.
    """

    module: str
    start: Callable[[Config, np.ndarray], Epoch]


def _dense(config: Config) -> Config:
    return config.replace(model="beta_vae")


def _top_k(config: Config) -> Config:
    return config.replace(selection="dimension", sensitivity_every=0)


PEERS = {
    "PyTorch, beta-VAE": Peer(
        "torch", lambda config, images: TorchRun(_dense(config), images).epoch
    ),
    "PyTorch, Top-K by dimension": Peer(
        "torch", lambda config, images: TorchRun(_top_k(config), images).epoch
    ),
    "torch.compile, Top-K by dimension": Peer(
        "torch", lambda config, images: TorchRun(_top_k(config), images, compiled=True).epoch
    ),
    "pythae, beta-VAE": Peer(
        "pythae", lambda config, images: PythaeRun(_dense(config), images).epoch
    ),
}


def installed(bench: Bench) -> dict[str, Peer]:
    """The peers that can run here; notes the others."""
    found = {}
    for title, peer in PEERS.items():
        if importlib.util.find_spec(peer.module):
            found[title] = peer
        else:
            bench.note(f"{title}: {peer.module} is not installed (extra bench)")
    return found
