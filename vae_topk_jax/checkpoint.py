"""Checkpoints of a training run. The only file that knows Orbax.

A run's folder holds one checkpoint a saved step, `00000468/`, `00000936/` and so on. Each carries
the whole train state and, as JSON beside the arrays, what is needed to read it: the configuration,
the image shape and where the data came from.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from vae_topk_jax.config import Config
from vae_topk_jax.training import Trainer, TrainState

FORMAT_VERSION = 2


class CheckpointError(ValueError):
    """A checkpoint that is missing, unreadable or of another run."""


@dataclasses.dataclass(frozen=True)
class RunInfo:
    """What travels with the weights.

    Attributes:
        config: the configuration.
        image_shape: (H, W, C).
        data: {"source": ..., "train": number of images, "test": number of images}.
        data_digest: `Dataset.digest`, which tells whether two sources gave the same images.
    """

    config: Config
    image_shape: tuple[int, int, int]
    data: dict[str, Any]
    data_digest: str = ""

    @functools.cached_property
    def trainer(self) -> Trainer:
        """The trainer of the run."""
        return Trainer(self.config, self.image_shape, self.data["train"])


def save_checkpoint(folder: Path | str, state: TrainState, info: RunInfo) -> Path:
    """Writes the state as `folder/<step>`, whole or not at all.

    Args:
        folder: the run's folder; made if it is missing.
        state: the state to keep.
        info: what travels with it.

    Returns:
        The checkpoint's path.

    Raises:
        CheckpointError: the step is there already.
    """
    path = Path(folder).resolve() / f"{int(state.step):08d}"
    if path.exists():
        raise CheckpointError(f"{path} exists already")
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "format": FORMAT_VERSION,
        "config": info.config.to_dict(),
        "image_shape": list(info.image_shape),
        "data": info.data,
        "data_digest": info.data_digest,
    }
    ocp.save(path, _as_tree(state), custom_metadata=about)
    return path


def latest_checkpoint(path: Path | str) -> Path:
    """The newest checkpoint in a run's folder, or the checkpoint itself.

    Raises:
        CheckpointError: there is none.
    """
    path = Path(path).resolve()
    if _is_checkpoint(path):
        return path
    steps = sorted(p for p in path.glob("[0-9]" * 8) if _is_checkpoint(p))
    if not steps:
        raise CheckpointError(f"no checkpoint in {path}")
    return steps[-1]


def read_info(path: Path | str) -> RunInfo:
    """What travels with the weights of a checkpoint or of a run's newest one.

    Raises:
        CheckpointError: there is none, or it is of another format.
    """
    path = latest_checkpoint(path)
    about: Any = ocp.metadata(path).custom_metadata
    if not isinstance(about, dict) or about.get("format") != FORMAT_VERSION:
        found = about.get("format") if isinstance(about, dict) else None
        raise CheckpointError(f"{path} has format {found}, this version reads {FORMAT_VERSION}")
    return RunInfo(
        config=Config.from_dict(about["config"]),
        image_shape=tuple(about["image_shape"]),
        data=about["data"],
        data_digest=about["data_digest"],
    )


def restore_checkpoint(path: Path | str) -> tuple[TrainState, RunInfo]:
    """The state and the information saved in a checkpoint or in a run's newest one.

    Raises:
        CheckpointError: there is none, it is of another format, or its arrays are not those of its
            configuration.
    """
    path = latest_checkpoint(path)
    info = read_info(path)
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    expected = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device),
        jax.eval_shape(lambda: _as_tree(info.trainer.init())),
    )
    _check_arrays(path, expected)
    tree = ocp.load(path, expected)
    return TrainState(**tree | {"rng": jax.random.wrap_key_data(tree["rng"])}), info


def _check_arrays(path: Path, expected: dict[str, Any]) -> None:
    """Compares shapes and types before Orbax does, which casts types without a word."""
    saved: Any = ocp.metadata(path).metadata
    wanted, found = (
        {jax.tree_util.keystr(key, simple=True, separator="/"): leaf for key, leaf in leaves}
        for leaves in map(jax.tree_util.tree_leaves_with_path, (expected, saved))
    )
    for name in sorted(wanted.keys() | found.keys()):
        if (want := _describe(wanted, name)) != (have := _describe(found, name)):
            raise CheckpointError(f"{path}: {name} is {have}, the configuration wants {want}")


def _describe(leaves: dict[str, Any], name: str) -> str:
    return f"{leaves[name].dtype}{leaves[name].shape}" if name in leaves else "missing"


def _is_checkpoint(path: Path) -> bool:
    return (path / "_CHECKPOINT_METADATA").is_file()


def _as_tree(state: TrainState) -> dict[str, Any]:
    tree = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return tree | {"rng": jax.random.key_data(state.rng)}
