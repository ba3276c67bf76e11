"""Why a run cannot go on: what of a step is not finite."""

import functools

import jax
import jax.numpy as jnp
from jax import Array

from vae_topk_jax.config import Config
from vae_topk_jax.models import System
from vae_topk_jax.steps import TrainState, gradient_step


class NonFiniteError(ArithmeticError):
    """Too many steps in a row whose loss or gradients were not finite.

    Attributes:
        state: the state after the last good step; its `step` counts the skipped ones as well.
    """

    def __init__(self, message: str, state: TrainState):
        super().__init__(message)
        self.state = state


def not_finite(
    model: System,
    config: Config,
    total_steps: int,
    state: TrainState,
    x_BxHxWxC: Array,
    label_B: Array | None = None,
) -> list[str]:
    """What is not finite in a step that is taken from this state: "input", "params/...", "loss",
    "grads/...".

    Args:
        model, config, total_steps: of the run.
        state: before the step.
        x_BxHxWxC: the batch, float32.
        label_B: its classes, where the model is told them.

    Examples:
        >>> from vae_topk_jax.training import Trainer
        >>> trainer = Trainer(Config(latent_dim=8, k=2, widths=(4,), batch_size=2), (2, 2, 1), 2)
        >>> x = jnp.full((2, 2, 2, 1), jnp.nan)
        >>> not_finite(trainer.model, trainer.config, 1, trainer.init(), x)[:2]
        ['input', 'loss']
    """
    look = functools.partial(gradient_step, model, config, total_steps)
    gradient = jax.jit(look)(state, x_BxHxWxC, None, label_B)
    seen = {"input": x_BxHxWxC, "params": state.params, **gradient._asdict()}
    return [
        "/".join([name, jax.tree_util.keystr(path, simple=True, separator="/")]).rstrip("/")
        for name, tree in seen.items()
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        if not jnp.all(jnp.isfinite(leaf))
    ]
