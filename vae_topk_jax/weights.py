"""Weights as safetensors: the variables of a model by their paths, `params/encoder/Dense_0/kernel`.

The configuration stands beside them, in config.json (see `vae_topk_jax.model_files`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict

from vae_topk_jax.files import write_atomic
from vae_topk_jax.inference import Inference
from vae_topk_jax.model_files import ABOUT, read_about
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.steps import TrainState

WEIGHTS = "model.safetensors"
_DTYPES = {"F32": "float32", "I32": "int32"}  # as safetensors names the types of variables
_ABSENT = "left out"


def save_weights(folder: Path | str, variables: Mapping[str, Any]) -> Path:
    """Writes the variables of a model to `folder`, which must be there.

    Returns:
        The file's path.
    """
    path = Path(folder) / WEIGHTS
    # safetensors writes the memory as it lies: a transposed view must be copied first
    tensors = {
        name: np.array(leaf, order="C") for name, leaf in flatten_dict(variables, sep="/").items()
    }
    write_atomic(path, safetensors.numpy.save(tensors, metadata={"format": "flax"}))
    return path


def load_weights(folder: Path | str) -> Inference:
    """The trained model in a folder of model files, as `load` gives it from a checkpoint.

    Raises:
        ValueError: files that are damaged, missing or of another format; tensors that are not those
            of the configuration, by name.
        FileNotFoundError: no such folder.
    """
    folder = Path(folder)
    about = read_about(folder)
    try:
        info = RunInfo.from_dict(about)
        images = jax.ShapeDtypeStruct((1, *info.image_shape), jnp.float32)
        expected = jax.eval_shape(info.trainer.model.init, jax.random.key(0), images)
    except Exception as error:  # of many types, where no model has these sizes
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{folder / ABOUT}: {reason or type(error).__name__}") from None
    tensors = _read(folder / WEIGHTS, flatten_dict(expected, sep="/"))
    variables = unflatten_dict(jax.tree.map(jnp.asarray, tensors), sep="/")
    state = TrainState(
        params=variables["params"],
        batch_stats=variables.get("batch_stats", {}),
        opt_state=(),
        step=jnp.asarray(about["step"], jnp.int32),
        rng=jax.random.key(info.config.seed),
    )
    return Inference(state, info, copy=False)


def _read(path: Path, expected: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, np.ndarray]:
    """The tensors of a file, whose names, types and shapes are compared before one is read."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            for name in sorted(found.keys() | expected.keys()):
                want, have = _wanted(expected.get(name)), _found(found.get(name))
                if want != have:
                    raise ValueError(f"{name} in {path} must be {want}, got {have}")
            return {name: file.get_tensor(name) for name in found}
    except (safetensors.SafetensorError, FileNotFoundError) as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from None


def _wanted(leaf: jax.ShapeDtypeStruct | None) -> str:
    return _ABSENT if leaf is None else f"{leaf.dtype}{tuple(leaf.shape)}"


def _found(tensor: Any) -> str:
    if tensor is None:
        return _ABSENT
    dtype = tensor.get_dtype()
    return f"{_DTYPES.get(dtype, dtype)}{tuple(tensor.get_shape())}"
