"""Models that are loaded while their run removes old checkpoints."""

import time

import jax
import numpy as np

from experiments.chaos.small_run import (
    require,
    small_flags,
    start_training,
    temporary_folder,
    write_images,
)
from vae_topk_jax import load
from vae_topk_jax.checkpoint_folder import checkpoints


def readers(trials: int) -> str:
    """`load` of a run that saves and prunes as fast as it can: a model every time, never an older
    one than before."""
    with temporary_folder() as folder:
        write_images(folder / "data")
        out = folder / "run"
        endless = ["--epochs", "100000", "--segment", "4"]
        process = start_training(folder, [*small_flags(folder, out), *endless])
        try:
            while len(checkpoints(out)) < 3:
                require(process.is_alive(), "the run ended")
                time.sleep(0.05)
            steps = [0]
            for _ in range(trials):
                model = load(out)
                leaves = jax.tree.leaves(model.variables)
                require(all(np.isfinite(leaf).all() for leaf in leaves), "a value is not finite")
                steps.append(int(model.state.step))
                require(steps[-1] >= steps[-2], f"step {steps[-1]} after {steps[-2]}")
            require(process.is_alive(), "the run ended")
        finally:
            process.kill()
            process.join()
    return f"{trials} models of {len({*steps}) - 1} steps, of which the run keeps 4"
