"""What a VAE is trained for: the evidence lower bound, and what may stand in its place.

    loss = reconstruction + beta R

    objective  R                                          z in training
    elbo       KL                                         mu + sigma eps
    info_vae   (1 - alpha) KL + (alpha + lambda - 1) MMD  mu + sigma eps
    wae        lambda MMD                                 mu
    rae        |z|^2 / 2, and penalties of the decoder    mu
    iwae       the whole loss is -log 1/S sum_s w_s       S draws mu + sigma eps_s

MMD is between the codes of a batch and as many draws of the prior, N(0, I). Here are the pieces, as
pure functions; `models.objective` puts them together.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.checks import check_batch, check_valid, lookup

# of the squared width of the inverse multiquadratic, as in the code of Tolstikhin et al.
IMQ_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

Kernel = Callable[[Array, int], Array]


class Objective(NamedTuple):
    """What sets one objective apart from the others.

    Attributes:
        has_noise: whether z is drawn from the posterior in training; otherwise z is mu.
        settings: the fields of a model that it has and that not all objectives have.
    """

    has_noise: bool = True
    settings: tuple[str, ...] = ()


OBJECTIVES: dict[str, Objective] = {
    "elbo": Objective(),
    "info_vae": Objective(settings=("info_alpha", "mmd_weight", "mmd_kernel")),
    "wae": Objective(has_noise=False, settings=("mmd_weight", "mmd_kernel")),
    "rae": Objective(has_noise=False, settings=("decoder_l2", "decoder_gradient")),
    "iwae": Objective(settings=("importance_samples",)),
}
SETTINGS = frozenset({"objective"}).union(*(of.settings for of in OBJECTIVES.values()))


def inverse_multiquadratic(squared: Array, latents: int) -> Array:
    """sum_s C s / (C s + |x - y|^2) with C = 2 D and s from 0.1 to 10.

    C is the mean of |x - y|^2 over draws from N(0, I). The kernel falls so slowly that codes far
    from the prior still have a gradient.

    Args:
        squared: |x - y|^2, of any shape.
        latents: D.

    Examples:
        >>> inverse_multiquadratic(jnp.zeros(()), 8).item()
        7.0
    """
    widths = [2.0 * latents * scale for scale in IMQ_SCALES]
    return sum((width / (width + squared) for width in widths), jnp.zeros_like(squared))


def radial_basis(squared: Array, latents: int) -> Array:
    """exp(-|x - y|^2 / (2 D)).

    Arguments as in `inverse_multiquadratic`.

    Examples:
        >>> round(radial_basis(jnp.array(4.0), 2).item(), 4)
        0.3679
    """
    return jnp.exp(-squared / (2.0 * latents))


KERNELS: dict[str, Kernel] = {"imq": inverse_multiquadratic, "rbf": radial_basis}


def mmd(
    z_BxD: Array, prior_BxD: Array, valid_B: Array | None = None, *, kernel: str | Kernel = "imq"
) -> Array:
    """The squared maximum mean discrepancy of codes and draws of a prior, estimated without bias.

        1/(n (n - 1)) sum_{i != j} [k(z_i, z_j) + k(p_i, p_j)] - 2/n^2 sum_ij k(z_i, p_j)

    0 in expectation where both have one distribution, so that it may come out below 0.

    Args:
        z_BxD: codes.
        prior_BxD: draws of the prior.
        valid_B: marks the n real examples of a padded batch; padding counts on neither side.
        kernel: "imq", "rbf" or a function of (|x - y|^2, D).

    Returns:
        (), float32; 0 for a single example, NaN for none.

    Raises:
        ValueError: other shapes, or a kernel of another name.

    Examples:
        >>> far_BxD, prior_BxD = jnp.full((4, 2), 9.0), jnp.zeros((4, 2))
        >>> by_rbf = jax.jit(lambda z, prior: mmd(z, prior, kernel="rbf"))
        >>> round(by_rbf(far_BxD, prior_BxD).item(), 4)
        2.0

    References:
        Gretton et al., "A Kernel Two-Sample Test", JMLR 2012. Tolstikhin, Bousquet, Gelly &
        Schoelkopf, "Wasserstein Auto-Encoders", ICLR 2018, algorithm 2.
    """
    check_batch(z=z_BxD, prior=prior_BxD)
    check_valid(valid_B, len(z_BxD))
    of = lookup("kernel", kernel, KERNELS)
    valid_B = jnp.ones(len(z_BxD), bool) if valid_B is None else valid_B.astype(bool)
    both_BxB = valid_B[:, None] & valid_B[None]
    apart_BxB = both_BxB & ~jnp.eye(len(z_BxD), dtype=bool)
    z_BxD, prior_BxD = (
        jnp.where(valid_B[:, None], x_BxD, 0).astype(jnp.float32) for x_BxD in (z_BxD, prior_BxD)
    )

    def total(x_BxD: Array, y_BxD: Array, pairs_BxB: Array) -> Array:
        kernel_BxB = of(_squared_distances(x_BxD, y_BxD), x_BxD.shape[1])
        return jnp.sum(jnp.where(pairs_BxB, kernel_BxB, 0.0))

    count = jnp.sum(valid_B, dtype=jnp.float32)
    within = total(z_BxD, z_BxD, apart_BxB) + total(prior_BxD, prior_BxD, apart_BxB)
    across = total(z_BxD, prior_BxD, both_BxB) / jnp.square(count)
    estimate = within / jnp.maximum(count * (count - 1.0), 1.0) - 2.0 * across
    return jnp.where(count == 1, 0.0, estimate)


def _squared_distances(x_BxD: Array, y_BxD: Array) -> Array:
    """|x_i - y_j|^2, which memory of B^2 numbers is enough for."""
    product_BxB = jnp.matmul(x_BxD, y_BxD.T, precision=jax.lax.Precision.HIGHEST)
    of_x_B, of_y_B = (jnp.sum(jnp.square(v_BxD), axis=1) for v_BxD in (x_BxD, y_BxD))
    return jnp.maximum(of_x_B[:, None] + of_y_B[None] - 2.0 * product_BxB, 0.0)


def log_prior_ratio(z_BxSxD: Array, mu_BxD: Array, logvar_BxD: Array) -> Array:
    """log N(z; 0, I) - log N(z; mu, exp(logvar)) of S draws for each example, ratio_BxS.

    Examples:
        >>> log_prior_ratio(jnp.zeros((1, 1, 1)), jnp.full((1, 1), 2.0), jnp.zeros((1, 1))).item()
        2.0
    """
    scaled_BxSxD = (z_BxSxD - mu_BxD[:, None]) * jnp.exp(-0.5 * logvar_BxD)[:, None]
    ratio_BxSxD = logvar_BxD[:, None] + jnp.square(scaled_BxSxD) - jnp.square(z_BxSxD)
    return 0.5 * jnp.sum(ratio_BxSxD, axis=2)


def importance_weighted_bound(log_w_BxS: Array) -> Array:
    """log 1/S sum_s w_s of each example, bound_B, in nats.

    With w_s = p(x|z_s) p(z_s) / q(z_s|x) and z_s from q(z|x) its expectation is at most log p(x),
    grows with S and, for one draw, is the ELBO.

    Examples:
        >>> round(importance_weighted_bound(jnp.array([[0.0, math.log(3)]])).item(), 4)  # log 2
        0.6931

    References:
        Burda, Grosse & Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016.
    """
    return jax.nn.logsumexp(log_w_BxS, axis=1) - math.log(log_w_BxS.shape[1])


def doubly_reparameterized(
    log_weights: Callable[[Array], Array], z_BxSxD: Array, beta: ArrayLike = 1.0
) -> Array:
    """log_w_BxS of draws, with the encoder's gradient doubly reparameterised.

    The gradient of `importance_weighted_bound` of it is, for what z is made of (an encoder), the
    second line, with v_s = w_s / sum w, and for all else that w depends on (a decoder), the first:

        sum_s v_s d log w_s / d theta
        sum_s v_s (1 - beta + beta v_s) d log w_s / d z_s . d z_s / d phi

    where w_s = p(x|z_s) (p(z_s) / q(z_s|x))^beta. At beta = 1 these are the squared weights of the
    paper. Beside the plain gradient of the same expectation, the encoder's signal does not drown in
    noise as S grows.

    Args:
        log_weights: z_BxSxD -> log_w_BxS, in which the parameters of q are constants
            (`jax.lax.stop_gradient`). It is called twice, once without a gradient; the compiler
            makes one of the two.
        z_BxSxD: draws, functions of the parameters of q.
        beta: as above.

    Examples:
        >>> def bound(z_BxSxD):
        ...     log_w_BxS = doubly_reparameterized(lambda z: z[:, :, 0], z_BxSxD)
        ...     return importance_weighted_bound(log_w_BxS).sum()
        >>> z_BxSxD = jnp.log(jnp.array([[[1.0], [3.0]]]))  # v is (1/4, 3/4)
        >>> jax.jit(jax.grad(bound))(z_BxSxD).round(4).ravel().tolist()
        [0.0625, 0.5625]

    References:
        Tucker, Lawson, Gu & Maddison, "Doubly Reparameterized Gradient Estimators for Monte Carlo
        Objectives", ICLR 2019, equation 8.
    """
    detached_BxS = log_weights(jax.lax.stop_gradient(z_BxSxD))
    share_BxS = jax.nn.softmax(jax.lax.stop_gradient(detached_BxS), axis=1)
    factor_BxS = 1.0 - beta + beta * share_BxS
    return log_weights(_scaled_gradient(z_BxSxD, factor_BxS[:, :, None]))


@jax.custom_vjp
def _scaled_gradient(x: Array, factor: Array) -> Array:
    """x, whose gradient is multiplied by a constant."""
    return x


def _scaled_gradient_forward(x: Array, factor: Array) -> tuple[Array, Array]:
    return x, factor


def _scaled_gradient_backward(factor: Array, slope: Array) -> tuple[Array, Array]:
    return slope * factor, jnp.zeros_like(factor)


_scaled_gradient.defvjp(_scaled_gradient_forward, _scaled_gradient_backward)
