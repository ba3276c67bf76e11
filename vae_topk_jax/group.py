"""Several runs trained side by side, as one program. No I/O.

On one device they are one batch of states (`jax.vmap`; on a CPU, where products of many small
matrices at once are slower, one after the other). Over a mesh every device has runs of its own and
exchanges nothing.
"""

import copy
import dataclasses
import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, PartitionSpec, Sharding
from jax.stages import Compiled
from numpy.typing import ArrayLike

from vae_topk_jax.config import Config
from vae_topk_jax.data.batches import Endless, Labelled
from vae_topk_jax.data.memory import free_bytes
from vae_topk_jax.models.registry import settings_of
from vae_topk_jax.nonfinite import NonFiniteError, Patience
from vae_topk_jax.sharding import DATA, MODEL, batch_sharding, replicated
from vae_topk_jax.steps import TrainState
from vae_topk_jax.training import Trainer, mean_terms
from vae_topk_jax.training_inputs import checked_labels

_log = logging.getLogger(__name__)
# What runs may differ in: factors in the arithmetic of a step, which decide nothing else.
MAY_DIFFER = ("seed", "learning_rate", "beta", "sparsity_weight")


class GroupTurn(NamedTuple):
    """One epoch of every run.

    Attributes:
        state: the states after it, stacked: every array has a leading axis R.
        terms: of each run, as in `EpochResult`.
        importance_RxSxD: running importance after each step, None for a dense model.
    """

    state: TrainState
    terms: list[dict[str, float]]
    importance_RxSxD: np.ndarray | None

    @property
    def step(self) -> int:
        """Steps that each run has done."""
        return int(self.state.step[0])

    @property
    def loss(self) -> float:
        """The mean loss."""
        return float(np.mean([terms["loss"] for terms in self.terms]))

    def importance_of(self, number: int) -> np.ndarray | None:
        """importance_SxD of one run."""
        return None if self.importance_RxSxD is None else self.importance_RxSxD[number]


@dataclasses.dataclass(frozen=True)
class TrainerGroup:
    """Configurations that differ in little, bound to images of one shape: one compiled epoch.

    Attributes:
        configs: of the R runs; they may differ in `MAY_DIFFER`.
        image_shape: (H, W, C).
        num_examples: N, how many training images an epoch draws from.
        mesh: devices that share out the runs along "data", from `sharding.make_mesh`; where their
            number does not divide that of the runs, some train the last run once more, for nothing.

    Raises:
        ValueError: no configuration, or ones that differ in another field; a mesh with several
            devices along "model", or of several processes; what `Trainer` refuses.

    Examples:
        >>> config = Config(latent_dim=4, k=1, widths=(8,), batch_size=2, epochs=1)
        >>> TrainerGroup((config, config.replace(k=2)), (2, 2, 1), num_examples=4)
        Traceback (most recent call last):
        ValueError: configs must agree in k to be trained together, got 1 and 2
    """

    configs: Sequence[Config]
    image_shape: Sequence[int]
    num_examples: int
    mesh: Mesh | None = None

    def __post_init__(self) -> None:
        if not self.configs:
            raise ValueError("configs must be one configuration at least, got none")
        fields = [config.to_dict() for config in self.configs]
        for name, first in fields[0].items():
            others = [own.get(name) for own in fields if own.get(name) != first]
            if others and name not in MAY_DIFFER:
                raise ValueError(
                    f"configs must agree in {name} to be trained together, "
                    f"got {first!r} and {others[0]!r}"
                )
        if self.mesh is not None:
            if self.mesh.axis_names != (DATA, MODEL) or self.mesh.shape[MODEL] > 1:
                raise ValueError(
                    f"mesh must have the runs along {DATA!r} and one device along {MODEL!r}, "
                    f"got {dict(self.mesh.shape)}"
                )
            if self.mesh.is_multi_process:
                raise ValueError(
                    "mesh must be of this process's devices: give each process runs of its own"
                )
        _ = self.trainer

    @functools.cached_property
    def trainer(self) -> Trainer:
        """Of the first run; the others have the same programs."""
        return Trainer(self.configs[0], self.image_shape, self.num_examples)

    def epochs(
        self,
        images_NxHxWxC: np.ndarray | Array | Endless,
        patience: int = 100,
        labels: ArrayLike | None = None,
    ) -> Iterator[GroupTurn]:
        """Trains from the first step, as `Trainer.init` gives it, to the last, one epoch a turn.

        Args:
            images_NxHxWxC: training images, as for `Trainer.epochs`, in memory.
            patience: how many steps in a row of one run may be skipped.
            labels: as for `Trainer.epochs`.

        Raises:
            ValueError: the program needs more memory than is free; labels that are not those of the
                models' classes.
            NonFiniteError: `patience` steps in a row of a run were skipped; names the run and what
                was not finite.
        """
        label_N = checked_labels(self.trainer.config, labels, self.num_examples)
        examples = images_NxHxWxC if label_N is None else Labelled(images_NxHxWxC, label_N)
        program = self._compile(examples)
        everywhere, split = self._shardings
        images = jax.device_put(examples, everywhere)
        states = [self.trainer.init(images_NxHxWxC, config.seed) for config in self._padded]
        state = jax.device_put(jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), split)
        values = jax.device_put(self._values, split)
        del states
        runs = [Patience(patience, config.learning_rate) for config in self.configs]
        for first in range(0, self.trainer.total_steps, self.trainer.steps_per_epoch):
            state, (terms_RxS, importance_RxSxD) = program(images, state, values)
            terms_RxS = jax.tree.map(np.asarray, terms_RxS)
            terms = [_row(terms_RxS, number) for number in range(len(runs))]
            for number, run in enumerate(runs):
                if (failed := run.ends_at(first, terms[number]["skipped"])) is not None:
                    raise self._failure(number, state, images, failed, patience)
            if importance_RxSxD is not None:
                importance_RxSxD = np.asarray(importance_RxSxD)[: len(runs)]
            yield GroupTurn(state, [mean_terms(own) for own in terms], importance_RxSxD)

    def unstack(self, state: TrainState) -> list[TrainState]:
        """The state of each run, on one device."""
        here = jax.device_put(state, self._devices[0])
        return [_row(here, number) for number in range(len(self.configs))]

    @property
    def _devices(self) -> list[jax.Device]:
        return jax.devices()[:1] if self.mesh is None else list(self.mesh.devices.flat)

    @property
    def _shardings(self) -> tuple[Sharding | None, Sharding | None]:
        """Of what every run reads, and of what each has of its own."""
        return (replicated(self.mesh), batch_sharding(self.mesh)) if self.mesh else (None, None)

    @property
    def _padded(self) -> list[Config]:
        """The runs, the last one repeated until every device has as many."""
        return [*self.configs, *[self.configs[-1]] * (-len(self.configs) % len(self._devices))]

    @property
    def _values(self) -> dict[str, Array]:
        """name -> values_R of the fields that the runs differ in, but for the seed."""
        names = [name for name in MAY_DIFFER if name in self.configs[0].to_dict()]
        values = {name: [getattr(own, name) for own in self._padded] for name in names}
        return {
            name: jnp.asarray(values_R, jnp.float32)
            for name, values_R in values.items()
            if name != "seed" and len(set(values_R)) > 1
        }

    def _compile(self, images: Any) -> Compiled:
        """The program of an epoch, if there is memory for it."""
        runs = len(self._padded)
        state = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((runs, *leaf.shape), leaf.dtype),
            self.trainer.abstract_state(),
        )
        everywhere, split = self._shardings
        options: dict[str, Any] = {}
        epoch = self._epoch
        if self.mesh is not None:
            own = PartitionSpec(DATA)
            specs = (PartitionSpec(), own, own)
            epoch = jax.shard_map(
                epoch, mesh=self.mesh, in_specs=specs, out_specs=own, check_vma=False
            )
            options = {"in_shardings": (everywhere, split, split)}
        program = jax.jit(epoch, donate_argnums=1, **options)
        compiled = program.lower(images, state, self._values).compile()
        check_memory(compiled, self._devices, f"{len(self.configs)} runs at once")
        return compiled

    def _epoch(self, images: Any, state: TrainState, values: Mapping[str, Array]) -> Any:
        """One more epoch of the runs of a device."""

        def one(run: tuple[TrainState, Mapping[str, Array]]) -> Any:
            own_state, own_values = run
            config = _with_arrays(self.trainer.config, own_values)
            trainer = dataclasses.replace(self.trainer, config=config)
            return trainer.segment(own_state, images, trainer.steps_per_epoch)

        if self._devices[0].platform == "cpu":
            return jax.lax.map(one, (state, values))
        return jax.vmap(one)((state, values))

    def _failure(
        self, number: int, state: TrainState, images: Any, step: int, patience: int
    ) -> NonFiniteError:
        """What was not finite, of that run."""
        trainer = dataclasses.replace(self.trainer, config=self.configs[number])
        own = self.unstack(state)[number]
        error = trainer.describe_failure(own, images, step, patience)
        return NonFiniteError(f"run {number}, {trainer.config!r}: {error}", error.state)


def check_memory(compiled: Compiled, devices: Sequence[jax.Device], title: str) -> None:
    """Refuses a program that takes more memory than is free on one of its devices.

    Args:
        compiled: for these devices.
        devices: those of CPUs share one memory.
        title: what the program is, in the message.

    Raises:
        ValueError: names what it takes and what is free.
    """
    needs = compiled.memory_analysis()
    assert needs is not None
    taken = needs.argument_size_in_bytes + needs.output_size_in_bytes
    taken += needs.temp_size_in_bytes - needs.alias_size_in_bytes
    if devices[0].platform == "cpu":
        taken *= len(devices)
    free = min(free_bytes(device) for device in devices)
    about = f"{title} take {taken / 1e9:.3g} GB"
    if taken > free:
        raise ValueError(
            f"{about} of the memory of {devices[0]}, of which {free / 1e9:.3g} GB are free: "
            "train fewer at a time, or on more devices"
        )
    _log.info("%s of the memory of %s", about, devices[0])


def _row(tree: Any, number: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[number], tree)


def _with_arrays(config: Config, values: Mapping[str, Array]) -> Config:
    """The configuration with arrays, unchecked, in place of some numbers."""
    own = settings_of(type(config.system))
    changed = copy.copy(config)
    fields: dict[str, Any] = {name: x for name, x in values.items() if name in own}
    system = config.system.clone(**fields)
    for name, value in {**values, "system": system}.items():
        if name not in own:
            object.__setattr__(changed, name, value)
    return changed
