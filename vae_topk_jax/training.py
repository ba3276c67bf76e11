"""The trainer: a configuration bound to images, its epochs compiled as one program. No I/O."""

import dataclasses
import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.sharding import Mesh

from vae_topk_jax.bottleneck import find_statistics
from vae_topk_jax.config import Config
from vae_topk_jax.data.batches import Batch, Endless, epoch_batches, first_images
from vae_topk_jax.inference_inputs import check_range
from vae_topk_jax.models import System
from vae_topk_jax.sharding import batch_sharding, check_mesh, put, replicated, state_sharding
from vae_topk_jax.steps import (
    TrainState,
    eval_step,
    gradient_step,
    make_optimizer,
    split_run_key,
    train_step,
)

# How many training images a model may see before it starts.
_SEEN = 4096
_log = logging.getLogger(__name__)


class NonFiniteError(ArithmeticError):
    """Too many steps in a row whose loss or gradients were not finite.

    Attributes:
        state: the state after the last good step; its `step` counts the skipped ones as well.
    """

    def __init__(self, message: str, state: TrainState):
        super().__init__(message)
        self.state = state


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
        ValueError: fewer images than one batch, a mesh that does not divide it, or more steps than
            an int32 counts.

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

    def init(self, images_NxHxWxC: np.ndarray | Array | Endless | None = None) -> TrainState:
        """The state before the first step, a function of `config.seed` and, for a model that
        starts from what it is to learn, of the training images."""
        init_key, rng = jax.random.split(jax.random.key(self.config.seed))
        x = jnp.zeros((1, *self.image_shape), jnp.float32)
        variables = jax.jit(self.model.init)(init_key, x)
        params = variables["params"]
        if images_NxHxWxC is not None:
            start_key = jax.random.fold_in(init_key, 1)
            seen = first_images(images_NxHxWxC, start_key, min(_SEEN, self.num_examples))
            params = self.model.start(params, seen, start_key)
        state = TrainState(
            params=params,
            batch_stats=variables.get("batch_stats", {}),
            opt_state=self.optimizer.init(params),
            step=jnp.zeros((), jnp.int32),
            rng=rng,
        )
        return self.place(state)

    def place(self, state: TrainState) -> TrainState:
        """A state that every process holds complete, laid out over the mesh."""
        return state if self.mesh is None else put(state, self._state_sharding)

    @staticmethod
    def order_key(state: TrainState) -> Array:
        """The key of `data.batch_indices` that gives the images of each step."""
        return split_run_key(state.rng).order

    @functools.cached_property
    def train_step(self) -> Callable[..., tuple[TrainState, dict[str, Array]]]:
        """(state, x, valid=None) -> (state, terms), compiled; the input state is donated."""
        return jax.jit(self._step, donate_argnums=0, out_shardings=self._shardings)

    @functools.cached_property
    def eval_step(self) -> Callable[..., dict[str, Array]]:
        """(state, x, valid=None) -> terms, compiled."""
        return jax.jit(functools.partial(eval_step, self.model))

    def stream(
        self, state: TrainState, batches: Iterable[np.ndarray | Array]
    ) -> Iterator[tuple[TrainState, dict[str, Array]]]:
        """Trains from `state` on batches as they come, one step a turn.

        Schedules are functions of `step / total_steps`, so `num_examples` must be the number of
        examples in the stream.

        Args:
            state: donated to the first turn.
            batches: float32 arrays, any number of examples each, in the range of the model.

        Yields:
            The state after the step, and its loss terms.

        Raises:
            ValueError: a batch of another type or shape, or a first batch with values that the
                model does not take.
        """
        for number, x_BxHxWxC in enumerate(batches):
            if x_BxHxWxC.dtype != np.float32 or x_BxHxWxC.shape[1:] != tuple(self.image_shape):
                raise ValueError(
                    f"a batch must be float32 of shape (B, {', '.join(map(str, self.image_shape))})"
                    f", got {x_BxHxWxC.dtype} of shape {x_BxHxWxC.shape}"
                )
            if number == 0:
                check_range(x_BxHxWxC, self.model.input_range)
            state, terms = self.train_step(state, x_BxHxWxC)
            yield state, terms

    def epochs(
        self,
        state: TrainState,
        images_NxHxWxC: np.ndarray | Array | Endless,
        segment: int | None = None,
        patience: int = 100,
    ) -> Iterator[EpochResult]:
        """Trains from `state` to the end of the last epoch, one epoch a turn.

        Args:
            state: donated to the first turn. It may stand anywhere in an epoch.
            images_NxHxWxC: training images, uint8 or, in the range of the model, float32; or what
                makes the batch of each step on the device.
            segment: so many steps a turn instead; the last of an epoch may be shorter.
            patience: how many steps in a row may be skipped.

        Raises:
            ValueError: images of another type, shape or number than the trainer's, or with values
                that the model does not take.
            NonFiniteError: `patience` steps in a row were skipped; names what was not finite.
        """
        images = self._on_device(images_NxHxWxC)
        size = min(segment or self.steps_per_epoch, self.steps_per_epoch)
        in_a_row, is_first = 0, True
        while (step := int(state.step)) < self.total_steps:
            offset = step % self.steps_per_epoch
            length = min(size - offset % size, self.steps_per_epoch - offset)
            state, (terms_S, importance_SxD) = self.segment(state, images, length)
            skipped_S = np.asarray(terms_S.pop("skipped")) > 0
            terms = {name: _mean_of(np.asarray(x)[~skipped_S]) for name, x in terms_S.items()}
            if is_first and skipped_S.all():
                _log.warning(
                    "all %d steps of the first turn were skipped: their loss or gradients were not "
                    "finite, and nothing has been learnt; is the learning rate of %g too high?",
                    len(skipped_S),
                    self.config.learning_rate,
                )
            is_first = False
            for number, skipped in enumerate(skipped_S, start=step):
                in_a_row = in_a_row + 1 if skipped else 0
                if in_a_row == patience:
                    raise self._describe_failure(state, images, number, patience)
            yield EpochResult(
                state,
                terms | {"skipped": float(np.sum(skipped_S))},
                None if importance_SxD is None else np.asarray(importance_SxD),
            )

    def _on_device(self, images_NxHxWxC: np.ndarray | Array | Endless) -> Array | Endless:
        """The images where they are trained on, once they have been found good."""
        if isinstance(images_NxHxWxC, Endless):
            if images_NxHxWxC.image_shape != tuple(self.image_shape):
                raise ValueError(
                    f"what makes batches must make images of shape {tuple(self.image_shape)}, "
                    f"got {images_NxHxWxC.image_shape}"
                )
            return images_NxHxWxC
        expected = (self.num_examples, *self.image_shape)
        if images_NxHxWxC.dtype not in (np.uint8, np.float32) or images_NxHxWxC.shape != expected:
            raise ValueError(
                f"images must be uint8 or float32 of shape {expected}, "
                f"got {images_NxHxWxC.dtype} of shape {images_NxHxWxC.shape}"
            )
        images = (
            jax.device_put(images_NxHxWxC)
            if self.mesh is None
            else put(images_NxHxWxC, replicated(self.mesh))
        )
        if images.dtype == np.float32:
            check_range(images, self.model.input_range)
        return images

    def _describe_failure(
        self, state: TrainState, images: Array | Endless, step: int, patience: int
    ) -> NonFiniteError:
        """Repeats the failed step with the state's parameters, and lists what is not finite."""
        failed = dataclasses.replace(state, step=jnp.full_like(state.step, step))
        offset = step % self.steps_per_epoch
        x_BxHxWxC, index_B = self._batches(images, failed)(offset)
        look = functools.partial(gradient_step, self.model, self.config, self.total_steps)
        gradient = jax.jit(look)(failed, x_BxHxWxC)
        seen = {"input": x_BxHxWxC, "params": state.params, **gradient._asdict()}
        bad = [
            "/".join([name, jax.tree_util.keystr(path, simple=True, separator="/")]).rstrip("/")
            for name, tree in seen.items()
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
            if not jnp.all(jnp.isfinite(leaf))
        ]
        first = ", ".join(map(str, np.asarray(index_B)[:8]))
        return NonFiniteError(
            f"stopped at step {step}: {patience} steps in a row were not finite; in this one "
            f"{', '.join(bad[:4]) or 'nothing any more'} (of images {first}, ...)",
            failed,
        )

    def _step(
        self, state: TrainState, x_BxHxWxC: Array, valid_B: Array | None = None
    ) -> tuple[TrainState, dict[str, Array]]:
        if self.mesh is not None:
            x_BxHxWxC = jax.lax.with_sharding_constraint(x_BxHxWxC, batch_sharding(self.mesh))
        return train_step(
            self.model, self.optimizer, self.config, self.total_steps, state, x_BxHxWxC, valid_B
        )

    @functools.cached_property
    def _state_sharding(self) -> TrainState:
        assert self.mesh is not None
        shapes = jax.eval_shape(dataclasses.replace(self, mesh=None).init)
        return state_sharding(self.mesh, shapes, self.config.latent_dim)

    @property
    def _shardings(self) -> tuple | None:
        """Of a state and of the outputs of its step."""
        return None if self.mesh is None else (self._state_sharding, replicated(self.mesh))

    @property
    def _is_on_cpu(self) -> bool:
        devices = jax.devices() if self.mesh is None else self.mesh.devices.flat
        return devices[0].platform == "cpu"

    def _batches(self, images: Array | Endless, state: TrainState) -> Callable[..., Batch]:
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
        state, terms = self._step(state, batches(step_in_epoch).x_BxHxWxC)
        statistics = find_statistics(state.batch_stats)
        return state, (terms, statistics.importance if statistics else None)

    @functools.cached_property
    def segment(self) -> Callable[..., tuple[TrainState, tuple[dict[str, Array], Array | None]]]:
        """(state, images, length) -> (state, (terms_S, importance_SxD)), so many steps compiled as
        one program; the input state is donated. Under `jax.vmap` it trains one state per seed."""

        def run(length: int, state: TrainState, images: Array | Endless) -> tuple[TrainState, Any]:
            step = functools.partial(self._batch_step, self._batches(images, state))
            first = state.step % self.steps_per_epoch
            return jax.lax.scan(step, state, first + jnp.arange(length, dtype=jnp.int32))

        @functools.partial(
            jax.jit, donate_argnums=0, static_argnums=2, out_shardings=self._shardings
        )
        def segment(state, images, length):
            one = functools.partial(run, length)
            # On a CPU products of many small matrices at once are slower than one after another.
            one = jax.custom_batching.sequential_vmap(one) if self._is_on_cpu else one
            return one(state, images)

        return segment


def _mean_of(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
