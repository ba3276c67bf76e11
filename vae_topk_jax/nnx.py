"""The layer as a native NNX module, and every model of this package as one.

from flax import nnx
from vae_topk_jax.nnx import BatchTopK, ToNNX
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Unpack

import flax.linen as nn
import jax
from flax import nnx
from jax import Array

from vae_topk_jax.bottleneck import Options
from vae_topk_jax.rule import Calibration, Latent, Selection, SelectionRule, TopKRule
from vae_topk_jax.scores import Score
from vae_topk_jax.selection import apply_mask
from vae_topk_jax.statistics import NAMES, TopKStatistics


class _Switched(nnx.Module):
    """What `train`, `eval` and `nnx.view` switch from the batch to its statistics and back."""

    use_running_average: bool | None

    def set_view(self, use_running_average: bool | None = None) -> None:
        """What `nnx.view` calls."""
        if use_running_average is not None:
            self.use_running_average = use_running_average


class BatchTopK(_Switched):
    """`vae_topk_jax.BatchTopK` for NNX: the same rule, the same bits, used like `nnx.BatchNorm`.

    In training the batch chooses and updates the running averages in place; at inference they
    choose. `model.train()` and `model.eval()` switch between the two.

    Args:
        num_features: D, the last axis of the latent.
        k: how many latents pass.
        use_running_average: True at inference; the argument of a call takes precedence.
        importance, decay, axis_name, selection, score, calibration, calibrate_after, cap: as
            those of `vae_topk_jax.BatchTopK`.

    Attributes:
        rule: the pure functions beneath the layer.
        importance, frequency, threshold, count: the statistics, `nnx.BatchStat` variables of the
            same names as in the `batch_stats` of Linen.

    Raises:
        ValueError: k outside [1, D], or by slot no divisor of D; an unknown selection or
            calibration.

    Examples:
        >>> import jax
        >>> layer = BatchTopK(6, k=2)
        >>> z = jax.random.normal(jax.random.key(0), (16, 6))
        >>> int((layer(z) != 0).sum()), int(layer.count[...])
        (32, 1)
        >>> layer.eval()
        >>> layer(z[:1]).shape, int(layer.count[...])
        ((1, 6), 1)
    """

    importance: nnx.BatchStat
    frequency: nnx.BatchStat
    threshold: nnx.BatchStat
    count: nnx.BatchStat

    def __init__(
        self,
        num_features: int,
        k: int,
        *,
        importance: str | Callable[..., Array] = "kl",
        decay: float = 0.99,
        use_running_average: bool | None = False,
        axis_name: str | None = None,
        selection: SelectionRule = "element",
        score: str | Score = "abs_mu",
        calibration: Calibration = "boundary",
        calibrate_after: int = 0,
        cap: bool = False,
    ):
        self.num_features = num_features
        self.use_running_average = use_running_average
        self.rule = TopKRule(
            k, importance, decay, axis_name, selection, score, calibration, calibrate_after, cap
        )
        self.rule.check(num_features)
        for name, zeros in vars(TopKStatistics.zeros(num_features)).items():
            setattr(self, name, nnx.BatchStat(zeros))

    def __call__(
        self,
        z_BxD: Array,
        mu_BxD: Array | None = None,
        logvar_BxD: Array | None = None,
        *,
        use_running_average: bool | None = None,
        **options: Unpack[Options],
    ) -> Array:
        """The masked latent; arguments, result and errors as of `vae_topk_jax.BatchTopK`."""
        selection = self.select(
            z_BxD, mu_BxD, logvar_BxD, use_running_average=use_running_average, **options
        )
        return apply_mask(z_BxD, selection.mask_BxD)

    def select(
        self,
        z_BxD: Array,
        mu_BxD: Array | None = None,
        logvar_BxD: Array | None = None,
        *,
        use_running_average: bool | None = None,
        **options: Unpack[Options],
    ) -> Selection:
        """The selection that the call applies; arguments and updates as there."""
        if use_running_average is None:
            use_running_average = self.use_running_average
        if use_running_average is None:
            raise ValueError("use_running_average must be given here or to the layer, got None")
        latent = Latent.of(z_BxD, mu_BxD, logvar_BxD, **options)
        if latent.size != self.num_features:
            raise ValueError(
                f"z must have {self.num_features} latents, num_features of the layer, "
                f"got shape {latent.shape}"
            )
        statistics = self.statistics
        if use_running_average:
            return self.rule.choose_by_statistics(latent, statistics)
        selection, updated = self.rule.choose_by_batch(latent, statistics)
        for name, value in vars(updated).items():
            getattr(self, name)[...] = value
        return selection

    @property
    def statistics(self) -> TopKStatistics:
        """The running averages as they are now."""
        return TopKStatistics(**{name: getattr(self, name)[...] for name in NAMES})


class ToNNX(_Switched):
    """A system of this package, or another Linen module of parameters and statistics, for NNX.

    Every call keeps what it updates, in place. (`flax.nnx.bridge.ToNNX` does so only where the call
    says `mutable="batch_stats"`, and puts new variables in the place of the old ones, which a
    `nnx.view` of the model does not see.) `model.train()` and `model.eval()` decide whether the
    batch or its statistics choose, wherever a method takes `train` or `use_running_average` and the
    call does not say. Methods are called by their names.

    Args:
        module: a system such as `vae_topk_jax.TopKVAE`.
        *args: a sample input, for the shapes of the parameters.
        rngs: of the parameters, and of "latent" where latents are drawn.

    Attributes:
        module: the Linen module.
        params, batch_stats: `nnx.Param` and `nnx.BatchStat` variables, in dictionaries as Linen has
            them.
        use_running_average: what `train` and `eval` set.

    Raises:
        ValueError: a Linen module with other variables than these.

    Examples:
        >>> import jax.numpy as jnp
        >>> from vae_topk_jax import BatchTopKSAE
        >>> x = jnp.ones((8, 1, 1, 16))
        >>> model = ToNNX(BatchTopKSAE((1, 1, 16), latent_dim=4, k=2), x, rngs=nnx.Rngs(0))
        >>> loss, terms = model.loss(x, x)
        >>> int(model.batch_stats["batch_top_k"]["count"][...])
        1
        >>> model.eval()
        >>> model.encode(x).shape
        (8, 4)
    """

    def __init__(self, module: nn.Module, *args: Any, rngs: nnx.Rngs):
        self.module, self.rngs = module, rngs.fork()
        self.use_running_average = False
        start = module.init(self._keys(), *args, **self._mode("__call__"))
        variables: dict[str, Any] = {"params": {}, "batch_stats": {}, **start}
        if unknown := variables.keys() - {"params", "batch_stats"}:
            raise ValueError(
                f"module must have params and batch_stats alone, got {sorted(unknown)} besides"
            )
        self.params = nnx.data(jax.tree.map(nnx.Param, variables["params"]))
        self.batch_stats = nnx.data(jax.tree.map(nnx.BatchStat, variables["batch_stats"]))

    def __call__(self, *args: Any, method: str = "__call__", **options: Any) -> Any:
        """What this method of the Linen module gives; its updates are kept."""
        output, updated = self.module.apply(
            {"params": _read(self.params), "batch_stats": _read(self.batch_stats)},
            *args,
            method=method,
            rngs=self._keys(),
            mutable=["batch_stats"],
            **self._mode(method) | options,
        )
        _write(self.batch_stats, updated.get("batch_stats", {}))
        return output

    def __getattr__(self, name: str) -> Any:
        if name != "module" and name in _own_methods(type(self.module)):
            return functools.partial(self, method=name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def _mode(self, method: str) -> dict[str, Any]:
        """The arguments by which a method takes the mode that `train` and `eval` set."""
        accepted = inspect.signature(getattr(type(self.module), method)).parameters
        running = bool(self.use_running_average)
        modes = {"use_running_average": running, "train": not running}
        return {name: mode for name, mode in modes.items() if name in accepted}

    def _keys(self) -> dict[str, Array]:
        """A new key of each stream; the one without a name is that of the parameters."""
        keys = {name: stream() for name, stream in self.rngs.items()}
        return {"params": keys.pop("default"), **keys} if "default" in keys else keys


def _own_methods(system: type[nn.Module]) -> set[str]:
    return {
        name
        for name in dir(system)
        if not name.startswith("_")
        and not hasattr(nn.Module, name)
        and inspect.isfunction(inspect.getattr_static(system, name))
    }


def _is_variable(node: Any) -> bool:
    return isinstance(node, nnx.Variable)


def _read(variables: dict[str, Any]) -> dict[str, Any]:
    return jax.tree.map(lambda variable: variable[...], variables, is_leaf=_is_variable)


def _write(variables: dict[str, Any], values: dict[str, Any]) -> None:
    for variable, value in zip(
        jax.tree.leaves(variables, is_leaf=_is_variable), jax.tree.leaves(values), strict=True
    ):
        variable[...] = value
