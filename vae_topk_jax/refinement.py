"""Codes refined image by image, from the encoder's code on: other latents, and other values.

The encoder's code is one guess for all images alike. Refinement looks at the image's own error,

    E(z) = sum_p ((x_p - decode(z)_p) / scale_p)^2
         + sum_active precision_d (z_d - mean_d)^2 + structural P (1 - SSIM(decode(z), x)),

and lowers it, pass by pass. How many latents of an image are active does not change. A pass

1.  takes the slope J of the decoder at the code, in all D directions, which makes of E a quadratic
    function of the values, with the matrix J^T J + precision;
2.  solves it for the values of the active latents, under three dampings (Levenberg-Marquardt);
3.  finds, in closed form, what the exchange of an active latent for an inactive one would gain,
    all other values being fitted again, and keeps the best exchange for each inactive latent;
4.  decodes the three codes of step 2, the 8 best exchanges and, where the encoder offers values for
    inactive latents (by slot), each exchange at the offered value, and takes the one of lowest E,
    or leaves the code as it is.

So a code never has a higher E than the encoder's, and it depends on its own image alone. The
weights of E are those of the loss: a loss of a reconstruction term and beta KL is, for a narrow
posterior, this E but for a factor and constants, and its minimum the most probable code.

References:
    Kim et al., "Semi-Amortized Variational Autoencoders", ICML 2018 (an encoder's guess, improved).
    Marquardt, "An Algorithm for Least-Squares Estimation of Nonlinear Parameters", 1963. Goodnight,
    "A Tutorial on the SWEEP Operator", The American Statistician 33(3), 1979 (exchanges).
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.condition import given
from vae_topk_jax.metrics.image import ssim

DAMPINGS = (1e-3, 3e-2, 1.0)
PROPOSALS = 8
_FLOOR = 1e-6  # of a latent's slope, beside the steepest one's

Decoder = Callable[[Array], Array]


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["scale_HxWxC", "precision_D", "mean_D"],
    meta_fields=["structural"],
)
@dataclasses.dataclass(frozen=True)
class Objective:
    """What a code is judged by; see E above.

    Attributes:
        scale_HxWxC: the unit of each pixel's error.
        precision_D: weight of the prior of each latent.
        mean_D: where the prior of each latent lies.
        structural: weight of 1 - SSIM of a pixel.
    """

    scale_HxWxC: Array
    precision_D: Array
    mean_D: Array
    structural: float = 0.0

    def of(self, x_HxWxC: Array, y_MxHxWxC: Array, z_MxD: Array, active_MxD: Array) -> Array:
        """E_M of M codes of one image.

        Args:
            x_HxWxC: the image.
            y_MxHxWxC: the decoded codes.
            z_MxD: the codes.
            active_MxD: which of their latents are active.
        """
        error_MxHxWxC = (x_HxWxC[None] - y_MxHxWxC) / self.scale_HxWxC[None]
        prior_MxD = self.precision_D[None] * jnp.square(z_MxD - self.mean_D[None])
        energy_M = jnp.sum(jnp.square(error_MxHxWxC), axis=(1, 2, 3))
        energy_M += jnp.sum(jnp.where(active_MxD, prior_MxD, 0.0), axis=1)
        return energy_M + self._structure(x_HxWxC, y_MxHxWxC)

    def _structure(self, x_HxWxC: Array, y_MxHxWxC: Array) -> Array:
        if not self.structural:
            return jnp.zeros(len(y_MxHxWxC), jnp.float32)
        x_MxHxWxC = jnp.broadcast_to(x_HxWxC[None], y_MxHxWxC.shape)
        return self.structural * math.prod(x_HxWxC.shape) * (1.0 - ssim(y_MxHxWxC, x_MxHxWxC))


class Quadratic(NamedTuple):
    """E as a quadratic function near a code, in units in which its matrix has a unit diagonal.

    Attributes:
        matrix_DxD: half of the second derivatives.
        descent_D: minus half of the first.
        unit_D: what a unit is in each latent.
    """

    matrix_DxD: Array
    descent_D: Array
    unit_D: Array


def check_passes(passes: int) -> None:
    """Refuses what is no number of passes.

    Raises:
        ValueError: no whole number from 0 on.

    Examples:
        >>> check_passes(-1)
        Traceback (most recent call last):
        ValueError: refine must be a whole number of passes, 0 or more, got -1
    """
    if isinstance(passes, bool) or not isinstance(passes, int) or passes < 0:
        raise ValueError(f"refine must be a whole number of passes, 0 or more, got {passes!r}")


def refined_codes(
    model: Any,
    variables: Any,
    x_BxHxWxC: Array,
    passes: ArrayLike,
    label_B: Array | None = None,
) -> Array:
    """The codes of a model's encoder after so many passes.

    Args:
        model: a `vae_topk_jax.models.generator.Generator`.
        variables: what its `apply` takes.
        x_BxHxWxC: images.
        passes: how many; need not be static.
        label_B: the labels of the images; None: they are unknown.

    Returns:
        z_BxD, with as many active latents in each row as the encoder's code has.
    """

    def decoder_of(label: Array | None) -> Decoder:
        return lambda z_MxD: model.apply(variables, z_MxD, **given(label), method="decode")

    z_BxD = model.apply(variables, x_BxHxWxC, **given(label_B), method="encode")
    active_BxD = z_BxD != 0 if model.is_sparse else jnp.ones(z_BxD.shape, bool)
    objective = model.apply(variables, method="refinement_objective")
    may_swap_DxD = model.swaps()
    offers_BxD = model.apply(variables, x_BxHxWxC, label_B, method="offers")

    def one_pass(_: int, codes: tuple[Array, Array]) -> tuple[Array, Array]:
        def of_image(x: Array, z: Array, active: Array, offers: Any, label: Any) -> tuple:
            return improved(decoder_of(label), objective, x, z, active, may_swap_DxD, offers)

        return jax.vmap(of_image)(x_BxHxWxC, *codes, offers_BxD, label_B)

    return jax.lax.fori_loop(0, passes, one_pass, (z_BxD, active_BxD))[0]


def improved(
    decode: Decoder,
    objective: Objective,
    x_HxWxC: Array,
    z_D: Array,
    active_D: Array,
    may_swap_DxD: Array | None = None,
    offers_D: Array | None = None,
) -> tuple[Array, Array]:
    """A code after one pass, and which of its latents are active then.

    Args:
        decode: images of codes (N, D), each of its own code alone.
        objective: what the code is judged by.
        x_HxWxC: the image.
        z_D: its code, zero where it is not active.
        active_D: which latents are.
        may_swap_DxD: whether an active latent (row) may give way to an inactive one (column);
            None: any to any.
        offers_D: values at which each inactive latent is tried as well, in place of the active one
            whose exchange for it promises most; None: none.

    Examples:
        >>> def two_pixels(z_Nx2):
        ...     return z_Nx2[:, None, None]
        >>> objective = Objective(jnp.ones((1, 1, 2)), jnp.zeros(2), jnp.zeros(2))
        >>> step = jax.jit(functools.partial(improved, two_pixels, objective))
        >>> x, z = jnp.array([[[0.0, 3.0]]]), jnp.array([1.0, 0.0])
        >>> z, active = step(x, z, z != 0)
        >>> active.tolist(), z.round().tolist()
        ([False, True], [0.0, 3.0])
    """
    quadratic = _quadratic(decode, objective, x_HxWxC, z_D)
    damped = [_solved(quadratic, active_D, damping) for damping in DAMPINGS]
    steps_SxD = jnp.stack([jnp.where(active_D, swept[:, -1], 0.0) for swept in damped])
    codes = [z_D[None], z_D[None] + steps_SxD * quadratic.unit_D[None]]
    active = [jnp.broadcast_to(active_D[None], (1 + len(DAMPINGS), len(z_D)))]
    exchange = _exchanges(damped[1], z_D / quadratic.unit_D, active_D, may_swap_DxD)
    promising = jax.lax.top_k(exchange.gain_D, min(PROPOSALS, len(z_D)))[1]
    codes.append(exchange.codes(promising) * quadratic.unit_D[None])
    active.append(exchange.active(promising))
    if offers_D is not None:
        active.append(exchange.active(jnp.arange(len(z_D))))
        offered_DxD = jnp.where(jnp.eye(len(z_D), dtype=bool), offers_D[None], z_D[None])
        codes.append(jnp.where(active[-1], offered_DxD, 0.0))
    z_MxD, active_MxD = jnp.concatenate(codes), jnp.concatenate(active)
    energy_M = objective.of(x_HxWxC, decode(z_MxD), z_MxD, active_MxD)
    zeros_M = jnp.sum(active_MxD & (z_MxD == 0), axis=1)  # they would no longer be active
    is_fit_M = jnp.isfinite(energy_M) & (zeros_M <= zeros_M[0])
    best = jnp.argmin(jnp.where(is_fit_M, energy_M, jnp.inf))
    return z_MxD[best], active_MxD[best]


class _Exchanges(NamedTuple):
    """For each inactive latent the active one that it had best replace, in units of `Quadratic`.

    Attributes:
        gain_D: by how much E would fall; -inf where there is nothing to exchange.
        partner_D: the active latent that gives way.
        code_D, active_D: the code as it is.
        fitted_D: its values fitted again.
        entry_D: the value of an inactive latent, were it to become active as well.
        weight_DxD: by how much an entry of 1 (column) lowers the fitted values (rows).
        inverse_DxD: of the matrix of the active latents, zero elsewhere.
        rest_D: what the matrix leaves of an inactive latent's diagonal.
    """

    gain_D: Array
    partner_D: Array
    code_D: Array
    active_D: Array
    fitted_D: Array
    entry_D: Array
    weight_DxD: Array
    inverse_DxD: Array
    rest_D: Array

    def active(self, entering_M: Array) -> Array:
        """active_MxD after each exchange; unchanged where there is none."""
        is_real_M = jnp.isfinite(self.gain_D[entering_M])
        enters_MxD, leaves_MxD = self._ends(entering_M)
        swapped_MxD = (self.active_D[None] | enters_MxD) & ~leaves_MxD
        return jnp.where(is_real_M[:, None], swapped_MxD, self.active_D[None])

    def codes(self, entering_M: Array) -> Array:
        """code_MxD after each exchange, the others fitted again; unchanged where there is none."""
        is_real_M = jnp.isfinite(self.gain_D[entering_M])
        enters_MxD, leaves_MxD = self._ends(entering_M)
        weight_MxD = self.weight_DxD.T[entering_M] - enters_MxD.astype(jnp.float32)
        rest_M = self.rest_D[entering_M]
        both_MxD = self.fitted_D[None] - weight_MxD * self.entry_D[entering_M][:, None]
        partner_M = self.partner_D[entering_M]
        weight_M = jnp.sum(jnp.where(leaves_MxD, weight_MxD, 0.0), axis=1)
        inverse_MxD = self.inverse_DxD[partner_M] + weight_MxD * (weight_M / rest_M)[:, None]
        left_M = jnp.sum(jnp.where(leaves_MxD, both_MxD, 0.0), axis=1)
        own_M = jnp.sum(jnp.where(leaves_MxD, inverse_MxD, 0.0), axis=1)
        swapped_MxD = both_MxD - inverse_MxD * (left_M / own_M)[:, None]
        swapped_MxD = jnp.where(leaves_MxD, 0.0, swapped_MxD)
        return jnp.where(is_real_M[:, None], swapped_MxD, self.code_D[None])

    def _ends(self, entering_M: Array) -> tuple[Array, Array]:
        """Who enters and who leaves, as masks (M, D)."""
        dims_1xD = jnp.arange(len(self.gain_D))[None]
        return dims_1xD == entering_M[:, None], dims_1xD == self.partner_D[entering_M][:, None]


def _quadratic(decode: Decoder, objective: Objective, x_HxWxC: Array, z_D: Array) -> Quadratic:
    """E near a code; of the structural term the slope alone."""
    y_HxWxC, push = jax.linearize(lambda z_D: decode(z_D[None])[0], z_D)
    slope_DxHxWxC = jax.vmap(push)(jnp.eye(len(z_D), dtype=z_D.dtype))
    slope_DxP = (slope_DxHxWxC / objective.scale_HxWxC[None]).reshape(len(z_D), -1)
    error_P = ((x_HxWxC - y_HxWxC) / objective.scale_HxWxC).ravel()
    descent_D = slope_DxP @ error_P + objective.precision_D * (objective.mean_D - z_D)
    if objective.structural:
        rise_HxWxC = jax.grad(lambda y: objective._structure(x_HxWxC, y[None])[0])(y_HxWxC)
        descent_D -= 0.5 * slope_DxHxWxC.reshape(len(z_D), -1) @ rise_HxWxC.ravel()
    matrix_DxD = slope_DxP @ slope_DxP.T + jnp.diag(objective.precision_D)
    diagonal_D = jnp.diag(matrix_DxD)
    floor = _FLOOR * jnp.max(diagonal_D) + jnp.finfo(jnp.float32).tiny
    unit_D = jax.lax.rsqrt(diagonal_D + floor)
    return Quadratic(matrix_DxD * jnp.outer(unit_D, unit_D), descent_D * unit_D, unit_D)


def _solved(quadratic: Quadratic, active_D: Array, damping: float) -> Array:
    """The damped matrix beside the descent, (D, D + 1), swept over the active latents.

    With A the active latents and B the others, H the damped matrix and b the descent,

        [H_AA  H_AB  b_A]       [ H_AA^-1       H_AA^-1 H_AB               H_AA^-1 b_A           ]
        [H_BA  H_BB  b_B]  ->   [-H_BA H_AA^-1  H_BB - H_BA H_AA^-1 H_AB   b_B - H_BA H_AA^-1 b_A]
    """
    size = len(active_D)
    damped_DxD = quadratic.matrix_DxD + damping * jnp.eye(size, dtype=jnp.float32)
    matrix_DxE = jnp.concatenate([damped_DxD, quadratic.descent_D[:, None]], axis=1)
    order_D = jnp.argsort(~active_D)

    def pivot(number: Array, swept_DxE: Array) -> Array:
        here_E = (jnp.arange(size + 1) == order_D[number]).astype(jnp.float32)
        row_E, column_D = here_E[:-1] @ swept_DxE, swept_DxE @ here_E
        return swept_DxE - jnp.outer(column_D - here_E[:-1], (row_E + here_E) / (row_E @ here_E))

    return jax.lax.fori_loop(0, jnp.sum(active_D), pivot, matrix_DxE)


def _exchanges(
    swept_DxE: Array, code_D: Array, active_D: Array, may_swap_DxD: Array | None
) -> _Exchanges:
    """What each exchange gains, by the formulas for one row more and one row less of an inverse."""
    square_DxD, solved_D = swept_DxE[:, :-1], swept_DxE[:, -1]
    is_pair_DxD = active_D[:, None] & ~active_D[None]
    inverse_DxD = jnp.where(active_D[:, None] & active_D[None], square_DxD, 0.0)
    weight_DxD = jnp.where(is_pair_DxD, square_DxD, 0.0)
    rest_D = jnp.where(active_D, 1.0, jnp.diag(square_DxD))
    fitted_D = jnp.where(active_D, code_D + solved_D, 0.0)
    entry_D = jnp.where(active_D, 0.0, solved_D / rest_D)
    value_DxD = fitted_D[:, None] - weight_DxD * entry_D[None]
    own_DxD = jnp.diag(inverse_DxD)[:, None] + jnp.square(weight_DxD) / rest_D[None]
    loss_DxD = jnp.square(value_DxD) / jnp.where(is_pair_DxD, own_DxD, 1.0)
    if may_swap_DxD is not None:
        # A constant would be folded into all that follows, which takes the compiler seconds.
        is_pair_DxD &= jax.lax.optimization_barrier(may_swap_DxD)
    gain_DxD = jnp.where(is_pair_DxD, (solved_D * entry_D)[None] - loss_DxD, -jnp.inf)
    return _Exchanges(
        jnp.max(gain_DxD, axis=0),
        jnp.argmax(gain_DxD, axis=0),
        code_D,
        active_D,
        fitted_D,
        entry_D,
        weight_DxD,
        inverse_DxD,
        rest_D,
    )
