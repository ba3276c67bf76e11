"""An epoch of one contestant in a process of its own, and the most memory that it held; see
`memory`.

python -m experiments.bench.processes.peak_memory TITLE CONFIG IMAGES
"""

import json
import sys

import numpy as np

from experiments.bench.free_memory import peak_mebibytes
from experiments.bench.groups.memory import IDLE
from experiments.bench.groups.training import epochs, lineup
from experiments.bench.peers.registry import PEERS
from vae_topk_jax.config import Config


def main(title: str, config: Config, num_images: int) -> None:
    """Trains the contestant on random images and prints the peaks as JSON."""
    rng = np.random.default_rng(0)
    images_NxHxWxC = rng.integers(0, 256, (num_images, 28, 28, 1), np.uint8)
    if title in PEERS:
        PEERS[title].start(config, images_NxHxWxC)()
    elif title != IDLE:
        epochs(lineup(config)[title], images_NxHxWxC)()
    print(json.dumps(peak_mebibytes()))


if __name__ == "__main__":
    main(sys.argv[1], Config.from_json(sys.argv[2]), int(sys.argv[3]))
