"""Why a run cannot go on: what of a step is not finite."""

import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.config import Config
from vae_topk_jax.models import System
from vae_topk_jax.steps import TrainState, gradient_step

_log = logging.getLogger(__name__)


class NonFiniteError(ArithmeticError):
    """Too many steps in a row whose loss or gradients were not finite.

    Attributes:
        state: the state after the last good step; its `step` counts the skipped ones as well.
    """

    def __init__(self, message: str, state: TrainState):
        super().__init__(message)
        self.state = state


class Patience:
    """Waits for steps that are finite again; logs a warning where no step of the first turn is.

    Args:
        most: how many steps in a row may be skipped.
        learning_rate: of the run.

    Examples:
        >>> patience = Patience(2, learning_rate=0.1)
        >>> patience.ends_at(0, np.array([0.0, 0.0, 1.0]))
        >>> patience.ends_at(3, np.array([1.0, 0.0]))
        3
    """

    def __init__(self, most: int, learning_rate: float):
        self._most, self._learning_rate = most, learning_rate
        self._in_a_row: int | None = None

    def ends_at(self, first: int, skipped_S: np.ndarray) -> int | None:
        """The step that is the last which may be skipped, if it is among these.

        Args:
            first: the number of the first of them, which follow those of the call before.
            skipped_S: above 0 where a step was skipped.
        """
        if self._in_a_row is None and np.all(skipped_S > 0):
            _log.warning(
                "all %d steps of the first turn were skipped: their loss or gradients were not "
                "finite, and nothing has been learnt; is the learning rate of %g too high?",
                len(skipped_S),
                self._learning_rate,
            )
        in_a_row = self._in_a_row or 0
        for step, skipped in enumerate(skipped_S > 0, start=first):
            in_a_row = in_a_row + 1 if skipped else 0
            if in_a_row == self._most:
                return step
        self._in_a_row = in_a_row
        return None


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
        label_B: its classes, where the model is given them.

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
