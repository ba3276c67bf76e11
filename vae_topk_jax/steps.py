"""The train state and its steps: pure functions, not compiled, without I/O."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import optax
from jax import Array

from vae_topk_jax.condition import given
from vae_topk_jax.config import Config
from vae_topk_jax.models import System


@flax.struct.dataclass
class TrainState:
    """What a step changes, and the key, which stays the same.

    Attributes:
        params: trainable parameters.
        batch_stats: statistics: running importance, and shift and scale of the inputs.
        opt_state: the optimizer's state.
        step: () int32, steps done.
        rng: typed key, the same for all of training; the order of the images and the noise of a
            step are functions of it and of `step`.
    """

    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    step: Array
    rng: Array

    @property
    def variables(self) -> dict[str, Any]:
        """What `model.apply` takes."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def make_optimizer(config: Config, total_steps: int) -> optax.GradientTransformation:
    """The optimizer and learning-rate schedule of a configuration."""
    warmup = min(config.warmup_steps, max(total_steps - 1, 0))
    if config.schedule == "cosine":
        decay = optax.cosine_decay_schedule(config.learning_rate, max(total_steps - warmup, 1))
    else:
        decay = optax.constant_schedule(config.learning_rate)
    if warmup:
        ramp = optax.linear_schedule(0.0, config.learning_rate, warmup)
        decay = optax.join_schedules([ramp, decay], [warmup])
    return config.system.optimizer(getattr(optax, config.optimizer)(decay))


def corrupt(x_BxHxWxC: Array, key: Array, max_sigma: float, clip: bool) -> Array:
    """x + sigma * eps with one sigma ~ U(0, max_sigma) per image, clipped to [0, 1] if asked."""
    sigma_key, eps_key = jax.random.split(key)
    sigma_Bx1x1x1 = (
        jax.random.uniform(sigma_key, (len(x_BxHxWxC), 1, 1, 1), jnp.float32) * max_sigma
    )
    noisy = x_BxHxWxC + sigma_Bx1x1x1 * jax.random.normal(eps_key, x_BxHxWxC.shape, jnp.float32)
    return jnp.clip(noisy, 0.0, 1.0) if clip else noisy


class Gradient(NamedTuple):
    """The loss and gradients of one batch, before any update.

    Attributes:
        loss: () float32.
        terms: the loss terms by name.
        batch_stats: the mutable collection after the batch.
        grads: the gradients of the loss, a tree like the parameters.
    """

    loss: Array
    terms: dict[str, Array]
    batch_stats: Any
    grads: Any


def gradient_step(
    model: System,
    config: Config,
    total_steps: int,
    state: TrainState,
    x_BxHxWxC: Array,
    valid_B: Array | None = None,
    label_B: Array | None = None,
) -> Gradient:
    """Loss and gradients of one batch; arguments as in `train_step`."""
    step_key = jax.random.fold_in(split_run_key(state.rng).step, state.step)
    noise_key, latent_key = jax.random.split(step_key)
    noisy_BxHxWxC = (
        corrupt(x_BxHxWxC, noise_key, config.train_noise, config.clip_noise)
        if config.train_noise
        else x_BxHxWxC
    )

    def loss_of(params):
        (loss, terms), stats = model.apply(
            {"params": params, "batch_stats": state.batch_stats},
            noisy_BxHxWxC,
            x_BxHxWxC,
            valid_B,
            train=True,
            progress=state.step.astype(jnp.float32) / total_steps,
            **given(label_B),
            method="loss",
            mutable=["batch_stats"],
            rngs={"latent": latent_key},
        )
        return loss, (terms, stats.get("batch_stats", {}))

    (loss, (terms, batch_stats)), grads = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    return Gradient(loss, terms, batch_stats, grads)


def train_step(
    model: System,
    optimizer: optax.GradientTransformation,
    config: Config,
    total_steps: int,
    state: TrainState,
    x_BxHxWxC: Array,
    valid_B: Array | None = None,
    label_B: Array | None = None,
) -> tuple[TrainState, dict[str, Array]]:
    """One step of gradient descent; a step that is not finite changes nothing but `step`.

    Args:
        model, optimizer, config, total_steps: static; bind them with `functools.partial` before
            `jax.jit`.
        state: the state before the step.
        x_BxHxWxC: float32, in the range of the model.
        valid_B: marks the real examples of a padded batch.
        label_B: the labels of the images, for a model that is given them.

    Returns:
        The state after the step and the loss terms, with "skipped", 1 if the loss or a gradient
        was not finite.
    """
    gradient = gradient_step(model, config, total_steps, state, x_BxHxWxC, valid_B, label_B)
    loss, terms, new_stats, grads = gradient
    is_finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(grads))

    def advance() -> tuple[Any, Any, optax.OptState]:
        with jax.numpy_dtype_promotion("standard"):  # optax raises floats to integer step counts
            updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        return optax.apply_updates(state.params, updates), new_stats, opt_state

    before = (state.params, state.batch_stats, state.opt_state)
    params, batch_stats, opt_state = _advance_if(is_finite, advance, before)
    after = TrainState(params, batch_stats, opt_state, state.step + 1, state.rng)
    return after, terms | {"skipped": (~is_finite).astype(jnp.float32)}


def _advance_if(is_finite: Array, advance: Callable[[], Any], before: Any) -> Any:
    """advance() after a finite step, `before` after another.

    On a CPU a branch, which costs nothing; a choice entry by entry is an eighth of a small model's
    step there. Elsewhere the choice, for a branch would wait until the host knows.
    """

    def choose() -> Any:
        return jax.tree.map(lambda new, old: jnp.where(is_finite, new, old), advance(), before)

    return jax.lax.platform_dependent(
        cpu=lambda: jax.lax.cond(is_finite, advance, lambda: before), default=choose
    )


def eval_step(
    model: System,
    state: TrainState,
    x_BxHxWxC: Array,
    valid_B: Array | None = None,
    label_B: Array | None = None,
) -> dict[str, Array]:
    """The loss terms at inference: posterior means, dimensions chosen by the running average."""
    apply: Callable[..., Any] = model.apply
    batch = (x_BxHxWxC, x_BxHxWxC, valid_B)
    _, terms = apply(state.variables, *batch, train=False, **given(label_B), method="loss")
    return terms


class RunKeys(NamedTuple):
    """The keys of a run: for the order of the images, and for the noise of the steps."""

    order: Array
    step: Array


def split_run_key(rng: Array) -> RunKeys:
    """The two keys that `TrainState.rng` stands for."""
    return RunKeys(*jax.random.split(rng))
