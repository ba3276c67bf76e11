"""Runs so long that the names of their checkpoints outgrow eight digits."""

import dataclasses
import shutil

import jax.numpy as jnp
import numpy as np

from experiments.chaos.small_run import require, small_model, temporary_folder
from vae_topk_jax import load
from vae_topk_jax.checkpoint import CheckpointWriter, restore_newest_whole
from vae_topk_jax.checkpoint_folder import checkpoint_name, checkpoints

_SAVES = 4  # of a run
_BOUNDARIES = (10, 10**8, 10**9, 2**31 - 100)


def late_steps(trials: int) -> str:
    """Runs that save four times around step 10^8, 10^9 or at the last of 32 bits: the newest by
    number is loaded and resumed, the older ones are removed."""
    rng, model = np.random.default_rng(0), small_model()
    with temporary_folder() as folder:
        for trial in range(trials):
            first = _BOUNDARIES[trial % len(_BOUNDARIES)] - 9
            steps = np.sort(first + rng.choice(100, _SAVES, replace=False))
            run = folder / "run"
            with CheckpointWriter(run, model.info, keep=2) as writer:
                for step in map(int, steps):
                    state = dataclasses.replace(model.state, step=jnp.asarray(step, jnp.int32))
                    writer.save(state, error=1 / step)
            kept = [path.name for path in checkpoints(run)]
            require(kept == [checkpoint_name(step) for step in steps[-2:]], f"{kept} of {steps}")
            newest = int(steps[-1])
            require(int(load(run).state.step) == newest, f"not the newest of {steps} is loaded")
            require(int(restore_newest_whole(run).state.step) == newest, f"nor resumed of {steps}")
            shutil.rmtree(run)
    return f"{_SAVES * trials} checkpoints saved, the newest found each time"
