"""Arrays of any shape, type and value for the public functions, made by hypothesis (extra "test").

Each function stands beside its value in NumPy. Where that raises `BadError`, the function must
refuse its arguments in one line; else it must give the value.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

from experiments.chaos.random_configurations import tried
from experiments.chaos.small_run import require
from vae_topk_jax import element_top_k, importance, losses, scores, selection, update_ema
from vae_topk_jax.bottleneck import BatchTopK
from vae_topk_jax.metrics import psnr, psnr_of_mean_error

_SPECIAL = [-0.0, 9.0, np.inf, -np.inf, np.nan]
_OTHER_SHAPES = [(), (0,), (1,), (3,), (0, 4), (1, 4), (3, 1), (3, 4, 1)]
_NUMBERS = (*["float32"] * 30, "float16", "int32")
_ANY = (*_NUMBERS, "bool")
_FLOAT = ("float32",)
_SIZES = {"B": [1, 3], "D": [1, 4], "H": [2], "W": [2], "C": [1]}
Arguments = dict[str, Any]
Spec = dict[str, Any]


class BadError(Exception):
    """Arguments that must be refused."""


class Case(NamedTuple):
    """A function, its arguments (axes and types of an array, or a choice of values), its value."""

    function: Callable[..., Any]
    spec: Spec
    expected: Callable[..., Any]


def arrays(trials: int) -> str:
    """As many for each of the functions."""
    outcomes: Counter[str] = Counter()
    for name, case in CASES.items():
        outcomes += tried(_arguments(case.spec), _compared(name, case), -(-trials // len(CASES)))
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    return f"{len(CASES)} functions: {counts}"


def _compared(name: str, case: Case) -> Callable[[Arguments], str]:
    def compare(given: Arguments) -> str:
        call = f"{name} of {given}"
        with np.errstate(all="ignore"):
            try:
                expected: Any = np.asarray(case.expected(**given)).astype(np.float32)
            except BadError:
                expected = None
        try:
            found = case.function(**given)
        except (ValueError, TypeError) as error:
            require(expected is None, f"{call}: refused, {error}")
            require("\n" not in str(error), f"{call}: several lines")
            return "refused in one line"
        require(expected is not None, f"{call}: not refused")
        np.testing.assert_allclose(found, expected, 1e-4, 1e-5, err_msg=call)
        return "as NumPy has it"

    return compare


def _arguments(spec: Spec) -> st.SearchStrategy[Arguments]:
    def of_size(size: dict[str, int]) -> st.SearchStrategy[Arguments]:
        drawn = {}
        for name, what in spec.items():
            if isinstance(what, list):
                drawn[name] = st.sampled_from(what)
            else:
                axes, types = what
                drawn[name] = _array(tuple(size[axis] for axis in axes), types)
        return st.fixed_dictionaries(drawn).map(lambda given: {name: given[name] for name in spec})

    sizes = {axis: st.sampled_from(choices) for axis, choices in _SIZES.items()}
    return st.fixed_dictionaries(sizes).flatmap(of_size)


def _array(shape: tuple[int, ...], types: tuple[str, ...]) -> st.SearchStrategy[np.ndarray]:
    """An array of this shape or, now and then, of another."""
    shapes = st.sampled_from([shape] * 60 + _OTHER_SHAPES)

    def fill(shape: tuple[int, ...], dtype: str, seed: int, special: float) -> np.ndarray:
        rng = np.random.default_rng(seed)
        values = rng.integers(-8, 8, shape) / 4
        if "float" in dtype:
            chosen = rng.choice(_SPECIAL, shape)
            values = np.where(rng.uniform(size=shape) < special, chosen, values)
        return np.asarray(values).astype(dtype)

    shares = st.sampled_from([0.0, 0.2, 1.0])
    return st.builds(fill, shapes, st.sampled_from(types), st.integers(0, 2**32), shares)


def _demand(good: Any) -> None:
    if not good:
        raise BadError


def _real(*given: np.ndarray, ndim: int | None = None, kinds: str = "if") -> list[np.ndarray]:
    """The arrays in float64, if they are real numbers of one shape with no empty axis: of `ndim`
    axes, or of at least one."""
    _demand(given[0].size and given[0].ndim == (ndim or max(given[0].ndim, 1)))
    _demand(all(x.shape == given[0].shape and x.dtype.kind in kinds for x in given))
    return [x.astype(np.float64) for x in given]


def _rows(x: np.ndarray, valid_B: np.ndarray | None) -> np.ndarray:
    _demand(valid_B is None or valid_B.shape == x.shape[:-1])
    rows = x.reshape(-1, x.shape[-1])
    return rows if valid_B is None else rows[valid_B.ravel()]


def _mean(x: np.ndarray, valid_B: np.ndarray | None = None) -> np.ndarray:
    rows = _rows(x, valid_B)
    return np.sum(rows, axis=0) / np.float64(len(rows))


def _product(weight: Any, x: np.ndarray) -> np.ndarray:
    """Zero where the weight is zero, whatever x is there."""
    return np.where(weight == 0, 0, weight * x)


def _kl(mu: np.ndarray, logvar: np.ndarray) -> np.ndarray:
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar)


def _largest(rank: np.ndarray, places: int) -> np.ndarray:
    """The mask of the largest, ties to the lower index, without NaN and -inf."""
    rank = np.where(np.isnan(rank), -np.inf, rank)
    mask = np.zeros(rank.size)
    mask[np.argsort(-rank, axis=None, kind="stable")[:places]] = 1
    return mask.reshape(rank.shape) * (rank > -np.inf)


def _by_dimension(importance: np.ndarray, k: Any) -> np.ndarray:
    _demand(importance.ndim == 1 and type(k) is int and 1 <= k <= importance.size)
    return _largest(importance.astype(np.float64), k)


def _by_sample(scores_BxD: np.ndarray, k: Any) -> np.ndarray:
    (rank_BxD,) = _real(scores_BxD)
    masks = [_by_dimension(rank_D, k) for rank_D in _rows(rank_BxD, None)]
    return np.reshape(masks, rank_BxD.shape)


def _by_element(scores_BxD: np.ndarray, k: Any, valid_B: np.ndarray) -> np.ndarray:
    (rank_BxD,) = _real(scores_BxD)
    _demand(isinstance(k, int | float) and 0 <= k <= rank_BxD.shape[-1])
    places = round(k * len(_rows(rank_BxD, valid_B)))
    return _largest(np.where(valid_B[..., None], rank_BxD, -np.inf), places)


def _masked(z_BxD: np.ndarray, mask: np.ndarray) -> np.ndarray:
    _demand(mask.shape in (z_BxD.shape, z_BxD.shape[-1:]))
    return np.where(mask, z_BxD, 0)


def _layer(z_BxD: np.ndarray) -> Any:
    layer = BatchTopK(
        k=2, importance="mean_abs_z", selection="dimension", use_running_average=False
    )
    return layer.apply({}, jnp.asarray(z_BxD), mutable="batch_stats")[0]


def _averaged(ema: np.ndarray, value: np.ndarray, count: float, decay: float) -> np.ndarray:
    _demand(ema.shape == value.shape and count >= 0 and 0 <= decay < 1)
    d = min(decay, count / (count + 1))
    return _product(d, ema) + (1 - d) * value


def _error(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = _real(x, y, ndim=4, kinds="f")
    return np.mean((x - y) ** 2, axis=(1, 2, 3))


def _posterior(expected: Callable[..., Any]) -> Callable[..., Any]:
    def checked(z_BxD, mu_BxD, logvar_BxD, **valid):
        return expected(*_real(z_BxD, mu_BxD, logvar_BxD), *valid.values())

    return checked


def _loss(expected: Callable[..., Any], ndim: int) -> Callable[..., Any]:
    def checked(reduction, **given):
        value = expected(*_real(*given.values(), ndim=ndim))
        _demand(reduction in ("sum", "mean"))
        return getattr(np, reduction)(value, axis=tuple(range(1, ndim)))

    return checked


def _x_log(x: np.ndarray, y: float) -> np.ndarray:
    return x * np.log(np.maximum(x, 1e-6) / y)


_BATCH = dict.fromkeys(("z_BxD", "mu_BxD", "logvar_BxD"), ("BD", _ANY))
_VALID = {"valid_B": ("B", ("bool",))}
_POSTERIOR = dict.fromkeys(("mu_BxD", "logvar_BxD"), ("BD", _FLOAT))
_IMAGES = dict.fromkeys(("logits", "target"), ("BHWC", _FLOAT))
_PAIR = dict.fromkeys(("x_NxHxWxC", "y_NxHxWxC"), ("BHWC", _ANY))
_REDUCTION = {"reduction": ["sum", "mean", "sum", "mean", "max"]}
_K = {"k": [1, 2, 1, 2, 3, 0, -1, 5, 1.5, "2", None]}
IMPORTANCES: dict[str, Callable[..., Any]] = {
    "mean_abs_z": lambda z, mu, logvar, valid: _mean(np.abs(z), valid),
    "mean_abs_mu": lambda z, mu, logvar, valid: _mean(np.abs(mu), valid),
    "kl": lambda z, mu, logvar, valid: _mean(_kl(mu, logvar), valid),
    "signal_to_noise": lambda z, mu, logvar, valid: (
        _mean(mu**2, valid) / np.maximum(_mean(np.exp(logvar), valid), 2.0**-126)
    ),
}
SCORES: dict[str, Callable[..., Any]] = {
    "abs_z": lambda z, mu, logvar: np.abs(z),
    "abs_mu": lambda z, mu, logvar: np.abs(mu),
    "kl": lambda z, mu, logvar: _kl(mu, logvar),
    "signal_to_noise": lambda z, mu, logvar: np.where(
        np.isinf(mu) & (logvar == np.inf) | (mu == 0) & (logvar == -np.inf),
        0,
        mu**2 * np.exp(-logvar),
    ),
    "one_minus_sigma": lambda z, mu, logvar: 1 - np.exp(0.5 * logvar),
}
CASES: dict[str, Case] = {
    **{
        name: Case(importance.IMPORTANCES[name], _BATCH | _VALID, _posterior(expected))
        for name, expected in IMPORTANCES.items()
    },
    **{
        f"score {name}": Case(scores.SCORES[name], _BATCH, _posterior(expected))
        for name, expected in SCORES.items()
    },
    "fixed": Case(
        lambda **given: np.sort(importance.fixed(**given)),
        _BATCH,
        _posterior(lambda z, mu, logvar: np.arange(z.shape[-1])),
    ),
    "batch_top_k_mask": Case(
        selection.batch_top_k_mask, {"importance": ("D", _ANY)} | _K, _by_dimension
    ),
    "sample_top_k_mask": Case(
        selection.sample_top_k_mask, {"scores_BxD": ("BD", _ANY)} | _K, _by_sample
    ),
    "element_top_k": Case(
        lambda **given: element_top_k(**given).mask_BxD,
        {"scores_BxD": ("BD", _ANY)} | _K | _VALID,
        _by_element,
    ),
    "apply_mask": Case(
        selection.apply_mask, {"z_BxD": ("BD", _NUMBERS), "mask": ("D", ("bool",))}, _masked
    ),
    "BatchTopK": Case(
        _layer,
        {"z_BxD": ("BD", _FLOAT)},
        lambda z_BxD: _masked(z_BxD, _by_dimension(_mean(np.abs(*_real(z_BxD))), 2)),
    ),
    "update_ema": Case(
        update_ema,
        {"ema": ("D", _ANY), "value": ("D", _ANY)}
        | {"count": [0, 1, 9, 0.5, -1, np.nan], "decay": [0.0, 0.9, 0.99, 1.0, -0.1, np.nan]},
        _averaged,
    ),
    "squared_error": Case(
        losses.squared_error,
        _IMAGES | _REDUCTION,
        _loss(lambda x, y: (1 / (1 + np.exp(-x)) - y) ** 2, 4),
    ),
    "bernoulli_nll": Case(
        losses.bernoulli_nll,
        _IMAGES | _REDUCTION,
        _loss(
            lambda x, y: _product(y, np.logaddexp(0, -x)) + _product(1 - y, np.logaddexp(0, x)),
            4,
        ),
    ),
    "gaussian_kl": Case(losses.gaussian_kl, _POSTERIOR | _REDUCTION, _loss(_kl, 2)),
    "masked_kl": Case(
        lambda **given: losses.masked_kl(inactive=0.25, **given),
        _POSTERIOR | {"mask_BxD": ("BD", _FLOAT)} | _REDUCTION,
        _loss(lambda mu, logvar, mask: (mask + 0.25 * (1 - mask)) * _kl(mu, logvar), 2),
    ),
    "spike_and_slab_kl": Case(
        lambda **given: losses.spike_and_slab_kl(rate=0.25, **given),
        _POSTERIOR | {"gate_BxD": ("BD", _FLOAT)} | _REDUCTION,
        _loss(
            lambda mu, logvar, g: (
                _product(g, _kl(mu, logvar)) + _x_log(g, 0.25) + _x_log(1 - g, 0.75)
            ),
            2,
        ),
    ),
    "batch_average": Case(
        losses.batch_average,
        {"value_B": ("B", _FLOAT)} | _VALID,
        lambda value_B, valid_B: _mean(_real(value_B, ndim=1)[0][:, None], valid_B)[0],
    ),
    "psnr": Case(
        psnr, _PAIR, lambda x_NxHxWxC, y_NxHxWxC: -10 * np.log10(_error(x_NxHxWxC, y_NxHxWxC))
    ),
    "psnr_of_mean_error": Case(
        psnr_of_mean_error,
        _PAIR,
        lambda x_NxHxWxC, y_NxHxWxC: -10 * np.log10(np.mean(_error(x_NxHxWxC, y_NxHxWxC))),
    ),
}
