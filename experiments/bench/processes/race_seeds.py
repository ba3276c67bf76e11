"""Seeds trained together over all devices of this process, and one after another on the first of
them; see `seeds`.

python -m experiments.bench.processes.race_seeds CONFIG IMAGES SEEDS ROUNDS
"""

import json
import sys

import numpy as np

from experiments.bench.groups.seeds import race
from vae_topk_jax.config import Config
from vae_topk_jax.sharding import make_mesh


def main(config: Config, num_images: int, count: int, rounds: int) -> None:
    """Trains on random images and prints the seconds as JSON."""
    rng = np.random.default_rng(0)
    images_NxHxWxC = rng.integers(0, 256, (num_images, 28, 28, 1), np.uint8)
    seconds = race(config, images_NxHxWxC, count, rounds, make_mesh())
    print(
        json.dumps(
            {
                name: {"rounds": list(own.rounds.values()), "first": own.first}
                for name, own in seconds.items()
            }
        )
    )


if __name__ == "__main__":
    main(Config.from_json(sys.argv[1]), *map(int, sys.argv[2:]))
