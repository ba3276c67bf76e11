"""Trains on many devices, in a process of its own: what the tests here start.

python -m tests.multidevice.worker devices OUT
python -m tests.multidevice.worker join OUT COORDINATOR PROCESSES PROCESS
"""

import dataclasses
import itertools
import sys
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh

from vae_topk_jax.checkpoint import restore_checkpoint, save_checkpoint
from vae_topk_jax.config import Config
from vae_topk_jax.data.stream import stream
from vae_topk_jax.processes import is_main, start
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.sharding import batch_sharding, make_mesh, to_host
from vae_topk_jax.steps import TrainState
from vae_topk_jax.training import Trainer

Told = dict[str, np.ndarray]

SHAPE, N = (6, 6, 1), 320
SMALL = Config(
    selection="element",
    latent_dim=8,
    k=2,
    widths=(16,),
    batch_size=32,
    epochs=10,
    sensitivity_every=0,
)
CONFIGS = {
    "element": SMALL,
    "dimension": SMALL.replace(selection="dimension", sensitivity_every=10),
    "dense": SMALL.replace(model="beta_vae", objective="info_vae", train_refined=0.5),
    "dictionary": SMALL.replace(model="batch_topk_sae", threshold_start=10, dead_after=640),
}
# Devices along "data" and along "model".
MESHES = {
    "element": [(8, 1)],  # on four it is resumed
    "dimension": [(8, 1)],
    "dense": [(8, 1)],
    "dictionary": [(4, 2)],
}
# To how many devices a run on four of them goes.
RESUMED = {"element": (1, 8)}
# Which runs two processes share.
JOINED = ["dimension", "element"]


def images() -> np.ndarray:
    """Bright spots at four places."""
    rng = np.random.default_rng(0)
    place_N = rng.integers(0, 4, N)
    centre_Nx2 = 1.5 + 3 * np.stack([place_N // 2, place_N % 2], axis=1)
    centre_Nx2 += rng.normal(0, 0.5, (N, 2))
    rows, columns = (np.exp(-((np.arange(6) - x[:, None]) ** 2) / 2) for x in centre_Nx2.T)
    return (255 * rows[:, :, None, None] * columns[:, None, :, None]).astype(np.uint8)


def train(config: Config, mesh: Mesh | None = None) -> tuple[TrainState, Told]:
    """The state after 100 steps, and what was seen on the way."""
    trainer = Trainer(config, SHAPE, N, mesh)
    return follow(trainer, trainer.init())


def follow(
    trainer: Trainer, state: TrainState, turns: int | None = None
) -> tuple[TrainState, Told]:
    """The state after so many turns, or at the end; the losses, the running importance and the
    codes on the way: where those are not zero is where the mask is one."""
    seen = []
    probe = images()[:64].astype(np.float32) / 255
    encode = jax.jit(lambda state, x: trainer.model.apply(state.variables, x, method="encode"))
    for turn in itertools.islice(trainer.epochs(state, images()), turns):
        state = turn.state
        told = {"loss": turn.terms["loss"], "skipped": turn.terms["skipped"]}
        if turn.importance_SxD is not None:
            told |= {"importance": turn.importance_SxD, "mask": to_host(encode(state, probe)) != 0}
        seen.append(told)
    return state, {name: np.stack([told[name] for told in seen]) for name in seen[0]}


def on_devices(out: Path) -> None:
    """One device, then the meshes of this process's devices; then from four to other numbers."""
    for name, config in CONFIGS.items():
        _, told = train(config)
        np.savez(out / f"{name}-alone.npz", **told)
        for data, model in MESHES[name]:
            mesh = make_mesh(model, jax.devices()[: data * model])
            _, told = train(config, mesh)
            np.savez(out / f"{name}-{data}x{model}.npz", **told)
    for name in RESUMED:
        resume(out, name, CONFIGS[name])


def resume(out: Path, name: str, config: Config) -> None:
    """Half a run on four devices, saved; the other half on others."""
    info = RunInfo(config, SHAPE, {"source": "spots", "train": N, "test": 0})
    trainer = on(4, info.trainer)
    state, _ = follow(trainer, trainer.init(), turns=config.epochs // 2)
    save_checkpoint(out / name, state, info)
    for n in RESUMED[name]:
        restored = restore_checkpoint(out / name)
        trainer = on(n, restored.info.trainer)
        placed = trainer.place(restored.state)
        assert bits(placed) == bits(state), n
        _, told = follow(trainer, placed)
        np.savez(out / f"{name}-resumed-on-{n}.npz", **told)


def on(n: int, trainer: Trainer) -> Trainer:
    """The trainer on the first n devices."""
    return dataclasses.replace(trainer, mesh=make_mesh(devices=jax.devices()[:n]))


def bits(state: TrainState) -> list[bytes]:
    """The bits of a state, wherever it lies."""
    host = to_host(dataclasses.replace(state, rng=jax.random.key_data(state.rng)))
    return [leaf.tobytes() for leaf in jax.tree.leaves(host)]


class Rows:
    """Images that count how often they are read."""

    def __init__(self, images_NxHxWxC: np.ndarray):
        self.images, self.reads = images_NxHxWxC, 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> np.ndarray:
        self.reads += 1
        return self.images[i]


def joined(out: Path, coordinator: str, processes: int, process: int) -> None:
    """The devices of several processes; then a stream of which each reads its share."""
    start(coordinator, processes, process)
    mesh = make_mesh()
    for name in JOINED:
        state, told = train(CONFIGS[name], mesh)
        np.savez(out / f"{name}-process-{process}.npz", **told)

    trainer = Trainer(SMALL, SHAPE, N, mesh)
    state, rows = trainer.init(), Rows(images())
    batches = stream(
        rows, trainer.order_key(state), SMALL.batch_size, range(20), batch_sharding(mesh)
    )
    losses = [float(terms["loss"]) for _, terms in trainer.stream(state, batches)]
    assert rows.reads == 20 * SMALL.batch_size // processes
    np.savez(out / f"stream-{process}.npz", loss=losses)
    assert is_main() == (process == 0)


if __name__ == "__main__":
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    role, out, *rest = sys.argv[1:]
    if role == "devices":
        on_devices(Path(out))
    else:
        joined(Path(out), rest[0], int(rest[1]), int(rest[2]))
