"""One training step of the default model in a process of its own; see `startup`.

python -m experiments.bench.processes.first_step IMAGES
"""

import sys

import numpy as np

from vae_topk_jax.config import Config
from vae_topk_jax.training import Trainer


def main(num_images: int) -> None:
    """Trains one step on black images."""
    images_NxHxWxC = np.zeros((num_images, 28, 28, 1), np.uint8)
    trainer = Trainer(Config(), (28, 28, 1), num_images)
    next(trainer.epochs(trainer.init(), images_NxHxWxC, segment=1))


if __name__ == "__main__":
    main(int(sys.argv[1]))
