"""Counts what the devices of this process exchange in one training step; see `exchanges`.

python -m experiments.bench.processes.count_exchanges CONFIG
"""

import json
import sys

import jax
import jax.numpy as jnp

from experiments.bench.compiled.exchanges import count_exchanges
from experiments.bench.compiled.hlo import Hlo
from vae_topk_jax.config import Config
from vae_topk_jax.sharding import make_mesh
from vae_topk_jax.training import Trainer


def main(config: Config) -> None:
    """Compiles a step on images of 28 by 28 and prints the counts as JSON."""
    trainer = Trainer(config, (28, 28, 1), config.batch_size, make_mesh())
    images = jax.ShapeDtypeStruct((config.batch_size, 28, 28, 1), jnp.float32)
    step = trainer.train_step.lower(trainer.init(), images).compile()  # type: ignore[attr-defined]
    print(json.dumps(count_exchanges(Hlo.parse(step.as_text()))))


if __name__ == "__main__":
    main(Config.from_json(sys.argv[1]))
