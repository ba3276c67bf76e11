"""The trainer: a configuration bound to images, its epochs compiled as one program. No I/O."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.sharding import Mesh
from numpy.typing import ArrayLike

from vae_topk_jax.config import Config
from vae_topk_jax.data.batches import (
    Batch,
    Endless,
    Labelled,
    batches_in_order,
    epoch_batches,
    first_images,
)
from vae_topk_jax.data.rows import Images, Rows
from vae_topk_jax.data.stream import stage
from vae_topk_jax.models import System
from vae_topk_jax.nonfinite import NonFiniteError, Patience, not_finite
from vae_topk_jax.sharding import batch_sharding, check_mesh, put, replicated, state_sharding
from vae_topk_jax.standardization import shift_and_scale
from vae_topk_jax.statistics import find_statistics
from vae_topk_jax.steps import (
    TrainState,
    eval_step,
    make_optimizer,
    split_run_key,
    train_step,
)
from vae_topk_jax.training_inputs import (
    check_examples,
    check_values,
    checked_batch,
    checked_labels,
    images_of,
)

# How many training images a model may see before it starts.
_SEEN = 4096


class EpochResult(NamedTuple):
    """One epoch of training, or one segment of it.

    Attributes:
        state: the state after it.
        terms: mean of each loss term over the steps taken (NaN if none was), and "skipped", the
            number of steps skipped because something in them was not finite.
        importance_SxD: running importance after each step, None for a dense model.
    """

    state: TrainState
    terms: dict[str, float]
    importance_SxD: np.ndarray | None

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self.state.step)

    @property
    def loss(self) -> float:
        """The mean loss of the steps taken."""
        return self.terms["loss"]


@dataclasses.dataclass(frozen=True)
class Trainer:
    """A configuration bound to images of one shape: its model, optimizer and compiled programs.

    An epoch is one program with the images on the device (`lax.scan` over the steps).

    Attributes:
        config: the configuration.
        image_shape: (H, W, C).
        num_examples: N, how many training images an epoch draws from, or makes.
        mesh: the devices to train on, from `sharding.make_mesh`; None: one device. Where several
            processes share it, all of them make the same calls.

    Raises:
        ValueError: fewer images than one batch, a mesh that does not divide it, more steps than an
            int32 counts, or images of a shape that the system cannot have.

    Examples:
        >>> images = np.zeros((64, 28, 28, 1), np.uint8)
        >>> trainer = Trainer(Config(batch_size=32, epochs=1), (28, 28, 1), num_examples=64)
        >>> state = trainer.init()
        >>> for epoch in trainer.epochs(state, images):
        ...     state = epoch.state
        >>> int(state.step)
        2
    """

    config: Config
    image_shape: Sequence[int]
    num_examples: int
    mesh: Mesh | None = None

    def __post_init__(self) -> None:
        if self.num_examples < self.config.batch_size:
            raise ValueError(
                f"batch_size must be at most the {self.num_examples} training images, "
                f"got {self.config.batch_size}"
            )
        self.config.system.check_shape(self.image_shape)
        if self.total_steps >= 2**31:
            raise ValueError(
                f"epochs must give fewer than 2^31 steps, got {self.config.epochs} of "
                f"{self.steps_per_epoch}"
            )
        if self.mesh is not None:
            check_mesh(self.mesh, self.config.batch_size, self.config.latent_dim)

    @functools.cached_property
    def model(self) -> System:
        """The linen module."""
        return self.config.system.clone(image_shape=tuple(self.image_shape))

    @functools.cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """The optax optimizer with its schedule."""
        return make_optimizer(self.config, self.total_steps)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one pass over the images."""
        return self.num_examples // self.config.batch_size

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.config.epochs * self.steps_per_epoch

    def init(
        self, images_NxHxWxC: Images | Endless | None = None, seed: int | None = None
    ) -> TrainState:
        """The state before the first step, a function of `config.seed` and, for a model that
        starts from what it is to learn or standardises its inputs, of the training images.

        Args:
            images_NxHxWxC: uint8, or floating in the range of the model; a memory map is read in
                parts. Or what makes batches, of which the first ones count.
            seed: in place of the configuration's.

        Raises:
            ValueError: no images for a model that standardises its inputs, or values that are not
                finite.
        """
        rule = self.config.system.standardize
        if images_NxHxWxC is None and rule != "none":
            raise ValueError(
                f"images must be given with standardize {rule!r}: shift and scale are theirs"
            )
        return self.place(self._initial(images_NxHxWxC, seed))

    def abstract_state(self) -> TrainState:
        """The shapes and types of a state; nothing is computed."""
        return jax.eval_shape(self._initial)

    def _initial(
        self, images_NxHxWxC: Images | Endless | None = None, seed: int | None = None
    ) -> TrainState:
        seed = self.config.seed if seed is None else seed
        init_key, rng = jax.random.split(jax.random.key(seed))
        x = jnp.zeros((1, *self.image_shape), jnp.float32)
        variables = jax.jit(self.model.init)(init_key, x)
        params, batch_stats = variables["params"], variables.get("batch_stats", {})
        if images_NxHxWxC is not None:
            start_key = jax.random.fold_in(init_key, 1)
            seen = first_images(images_NxHxWxC, start_key, min(_SEEN, self.num_examples))
            if (rule := self.config.system.standardize) != "none":
                split = seen if isinstance(images_NxHxWxC, Endless) else images_NxHxWxC
                measured = jax.tree.map(jnp.asarray, shift_and_scale(split, rule))
                batch_stats = batch_stats | {"standardization": measured}
                seen = (seen - measured["shift"][None]) / measured["scale"][None]
            params = self.model.start(params, seen, start_key)
        return TrainState(
            params=params,
            batch_stats=batch_stats,
            opt_state=self.optimizer.init(params),
            step=jnp.zeros((), jnp.int32),
            rng=rng,
        )

    def check_values(self, x: np.ndarray | Array) -> None:
        """Refuses floating inputs with values that the configuration is not for.

        Raises:
            ValueError: values outside the range of the model, or of noise that is clipped.
        """
        check_values(self.config, x)

    def place(self, state: TrainState) -> TrainState:
        """A state that every process holds complete, laid out over the mesh."""
        return state if self.mesh is None else put(state, self._state_sharding)

    @staticmethod
    def order_key(state: TrainState) -> Array:
        """The key of `data.batch_indices` that gives the images of each step."""
        return split_run_key(state.rng).order

    @functools.cached_property
    def train_step(self) -> Callable[..., tuple[TrainState, dict[str, Array]]]:
        """(state, x, valid=None, label=None) -> (state, terms), compiled; the input state is
        donated."""
        return jax.jit(self._step, donate_argnums=0, out_shardings=self._shardings)

    @functools.cached_property
    def eval_step(self) -> Callable[..., dict[str, Array]]:
        """(state, x, valid=None, label=None) -> terms, compiled."""
        return jax.jit(functools.partial(eval_step, self.model))

    def stream(
        self, state: TrainState, batches: Iterable[np.ndarray | Array | Labelled]
    ) -> Iterator[tuple[TrainState, dict[str, Array]]]:
        """Trains from `state` on batches as they come, one step a turn.

        Schedules are functions of `step / total_steps`, so `num_examples` must be the number of
        examples in the stream.

        Args:
            state: donated to the first turn.
            batches: float32 arrays, any number of examples each, in the range of the model; or
                `Labelled` ones, for a model with `classes`.

        Yields:
            The state after the step, and its loss terms.

        Raises:
            ValueError: a batch of another type or shape, labels that are not those of its classes,
                or a first batch with values that the model does not take.
        """
        for number, batch in enumerate(batches):
            x_BxHxWxC, label_B = checked_batch(self.config, batch, self.image_shape)
            if number == 0:
                self.check_values(x_BxHxWxC)
            state, terms = self.train_step(state, x_BxHxWxC, None, label_B)
            yield state, terms

    def epochs(
        self,
        state: TrainState,
        images_NxHxWxC: Images | Endless,
        segment: int | None = None,
        patience: int = 100,
        labels: ArrayLike | None = None,
    ) -> Iterator[EpochResult]:
        """Trains from `state` to the end of the last epoch, one epoch a turn.

        Args:
            state: donated to the first turn. It may stand anywhere in an epoch.
            images_NxHxWxC: training images, uint8 or, in the range of the model, float32. An array
                is put on the device; `data.Rows` are read piece by piece, with the same results.
                Or what makes the batch of each step on the device.
            segment: so many steps a turn instead; the last of an epoch may be shorter.
            patience: how many steps in a row may be skipped.
            labels: whole numbers (N,), the classes of the images, for a model with `classes`;
                numbers (N, A) for one with `attributes`.

        Raises:
            ValueError: images of another type, shape or number than the trainer's, or with values
                that the model does not take; labels that are not those of its classes.
            NonFiniteError: `patience` steps in a row were skipped; names what was not finite.
        """
        check_examples(self.config, images_NxHxWxC, self.num_examples, self.image_shape)
        label_N = checked_labels(self.config, labels, self.num_examples)
        size = min(segment or self.steps_per_epoch, self.steps_per_epoch)
        images: Any = images_NxHxWxC if label_N is None else Labelled(images_NxHxWxC, label_N)
        advance = self.segment
        if isinstance(images_NxHxWxC, Rows):
            advance = self._streamed(state, images, size)
        elif not isinstance(images_NxHxWxC, Endless):
            images = self._on_device(images)
        endurance = Patience(patience, self.config.learning_rate)
        for step, length in self._turns(int(state.step), size):
            state, (terms_S, importance_SxD) = advance(state, images, length)
            terms_S = jax.tree.map(np.asarray, terms_S)
            if (failed := endurance.ends_at(step, terms_S["skipped"])) is not None:
                raise self.describe_failure(state, images, failed, patience)
            yield EpochResult(
                state,
                mean_terms(terms_S),
                None if importance_SxD is None else np.asarray(importance_SxD),
            )

    def _turns(self, step: int, size: int) -> Iterator[tuple[int, int]]:
        """(first step, steps) of every turn from a step on; none leaves its epoch."""
        while step < self.total_steps:
            offset = step % self.steps_per_epoch
            length = min(size - offset % size, self.steps_per_epoch - offset)
            yield step, length
            step += length

    def _on_device(self, examples: Any) -> Any:
        """The images, and their labels, where the steps take them from, if the model takes them."""
        placed = (
            jax.device_put(examples) if self.mesh is None else put(examples, replicated(self.mesh))
        )
        if (images := images_of(placed)).dtype == np.float32:
            self.check_values(images)
        return placed

    def _streamed(
        self, state: TrainState, source: Rows | Labelled, size: int
    ) -> Callable[..., Any]:
        """`segment` for the turns from `state` on, one after the other, of images that are read."""
        turns = self._turns(int(state.step), size)
        batch_size = self.config.batch_size
        staged = stage(source, self.order_key(state), batch_size, turns)

        def advance(state: TrainState, images: Any, length: int) -> tuple[TrainState, Any]:
            outputs = []
            while length:
                piece = self._on_device(next(staged))
                steps = len(piece) // batch_size
                state, output = self._segment_in_order(state, piece, steps)
                outputs.append(output)
                length -= steps
            return state, jax.tree.map(lambda *parts: np.concatenate(parts), *outputs)

        return advance

    def describe_failure(
        self, state: TrainState, images: Any, step: int, patience: int
    ) -> NonFiniteError:
        """Repeats the failed step with the state's parameters, and lists what is not finite."""
        failed = dataclasses.replace(state, step=jnp.full_like(state.step, step))
        offset = step % self.steps_per_epoch
        x_BxHxWxC, index_B, label_B = self._batches(images, failed)(offset)
        bad = not_finite(self.model, self.config, self.total_steps, failed, x_BxHxWxC, label_B)
        first = ", ".join(map(str, np.asarray(index_B)[:8]))
        return NonFiniteError(
            f"stopped at step {step}: {patience} steps in a row were not finite; in this one "
            f"{', '.join(bad[:4]) or 'nothing any more'} (of images {first}, ...)",
            failed,
        )

    def _step(
        self,
        state: TrainState,
        x_BxHxWxC: Array,
        valid_B: Array | None = None,
        label_B: Array | None = None,
    ) -> tuple[TrainState, dict[str, Array]]:
        if self.mesh is not None:
            split = batch_sharding(self.mesh)
            x_BxHxWxC, label_B = jax.lax.with_sharding_constraint((x_BxHxWxC, label_B), split)
        run = (self.model, self.optimizer, self.config, self.total_steps)
        return train_step(*run, state, x_BxHxWxC, valid_B, label_B)

    @functools.cached_property
    def _state_sharding(self) -> TrainState:
        assert self.mesh is not None
        return state_sharding(self.mesh, self.abstract_state(), self.config.latent_dim)

    @property
    def _shardings(self) -> tuple | None:
        """Of a state and of the outputs of its step."""
        return None if self.mesh is None else (self._state_sharding, replicated(self.mesh))

    def _batches(
        self, images: Array | Labelled | Endless, state: TrainState
    ) -> Callable[..., Batch]:
        """step in the epoch in which the state stands -> its batch."""
        epoch = state.step // self.steps_per_epoch
        key, size = self.order_key(state), self.config.batch_size
        return epoch_batches(images, key, epoch, self.num_examples, size)

    def _batch_step(
        self,
        batches: Callable[..., Batch],
        state: TrainState,
        step_in_epoch: Array | int,
    ) -> tuple[TrainState, tuple[dict[str, Array], Array | None]]:
        batch = batches(step_in_epoch)
        state, terms = self._step(state, batch.x_BxHxWxC, label_B=batch.label_B)
        statistics = find_statistics(state.batch_stats)
        return state, (terms, statistics.importance if statistics else None)

    @functools.cached_property
    def segment(self) -> Callable[..., tuple[TrainState, tuple[dict[str, Array], Array | None]]]:
        """(state, images, length) -> (state, (terms_S, importance_SxD)), so many steps compiled as
        one program; the input state is donated."""
        return self._compiled(
            lambda state, images: (self._batches(images, state), state.step % self.steps_per_epoch)
        )

    @functools.cached_property
    def _segment_in_order(self) -> Callable[..., tuple[TrainState, Any]]:
        """`segment`, of images that lie in the order of its steps."""
        size = self.config.batch_size
        return self._compiled(
            lambda _, images: (batches_in_order(images, jnp.arange(len(images)), size), 0)
        )

    def _compiled(
        self,
        batches_of: Callable[[TrainState, Any], tuple[Callable[..., Batch], Array | int]],
    ) -> Callable[..., Any]:
        """A segment of the batches that `batches_of` gives, from the step that it gives."""

        @functools.partial(
            jax.jit, donate_argnums=0, static_argnums=2, out_shardings=self._shardings
        )
        def segment(state: TrainState, images: Any, length: int) -> tuple:
            batches, first = batches_of(state, images)
            step = functools.partial(self._batch_step, batches)
            return jax.lax.scan(step, state, first + jnp.arange(length, dtype=jnp.int32))

        return segment


def mean_terms(terms_S: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The terms of an `EpochResult`, from those of every step.

    Examples:
        >>> terms_S = {"loss": np.array([1.0, np.nan, 3.0]), "skipped": np.array([0.0, 1.0, 0.0])}
        >>> mean_terms(terms_S)
        {'loss': 2.0, 'skipped': 1.0}
    """
    skipped_S = terms_S["skipped"] > 0
    means = {name: _mean_of(values_S[~skipped_S]) for name, values_S in terms_S.items()}
    return means | {"skipped": float(np.sum(skipped_S))}


def _mean_of(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
