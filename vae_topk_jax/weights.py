"""Weights as safetensors: the variables of a model by their paths, `params/encoder/Dense_0/kernel`.

The configuration stands beside them, in config.json (see `vae_topk_jax.model_files`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from vae_topk_jax.model_files import ABOUT, WEIGHTS, read_about
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.steps import TrainState
from vae_topk_jax.tensor_files import read_expected, write_tensors


def save_weights(folder: Path | str, variables: Mapping[str, Any]) -> Path:
    """Writes the variables of a model to `folder`, which must be there.

    Returns:
        The file's path.
    """
    path = Path(folder) / WEIGHTS
    write_tensors(path, flatten_dict(variables, sep="/"), metadata={"format": "flax"})
    return path


def restore_weights(folder: Path | str, *, verify: bool = True) -> tuple[TrainState, RunInfo]:
    """The state in a folder of model files, without that of an optimizer, and what it is of.

    Args:
        folder: written by `vae_topk_jax.export_model`.
        verify: compare the files with their manifest first.

    Raises:
        ValueError: files that are damaged, missing or of another format; tensors that are not those
            of the configuration, by name.
        FileNotFoundError: no such folder.
    """
    folder = Path(folder)
    about = read_about(folder, verify=verify)
    try:
        info = RunInfo.from_dict(about)
        images = jax.ShapeDtypeStruct((1, *info.image_shape), jnp.float32)
        expected = jax.eval_shape(info.trainer.model.init, jax.random.key(0), images)
    except Exception as error:  # of many types, where no model has these sizes
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{folder / ABOUT}: {reason or type(error).__name__}") from None
    tensors = read_expected(folder / WEIGHTS, flatten_dict(expected, sep="/"))
    variables = unflatten_dict(jax.tree.map(jnp.asarray, tensors), sep="/")
    state = TrainState(
        params=variables["params"],
        batch_stats=variables.get("batch_stats", {}),
        opt_state=(),
        step=jnp.asarray(about["step"], jnp.int32),
        rng=jax.random.key(info.config.seed),
    )
    return state, info
