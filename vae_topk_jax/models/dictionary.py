"""What sparse autoencoders share: a dictionary of directions, its encoder, its constraints."""

import functools
import math
from typing import Annotated, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from annotated_types import Ge, Interval
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.bottleneck import BatchTopK
from vae_topk_jax.ema import update_ema
from vae_topk_jax.importance import batch_mean
from vae_topk_jax.losses import Reduction, batch_average
from vae_topk_jax.models.system import System
from vae_topk_jax.selection import apply_mask
from vae_topk_jax.vectors import geometric_median, unit_rows

LARGEST_GRADIENT = 1.0


class TrainingCode(NamedTuple):
    """The code of a training batch, and what its penalty is taken of.

    Attributes:
        pre_BxD: (x - b_dec) W_enc + b_enc.
        f_BxD: the latents before the selection.
        z_BxD: what is decoded.
        residual_BxF: the inputs without their reconstructions.
        dead_D: which latents have been silent for `dead_after` examples, this batch included.
        valid_B: marks the real examples of a padded batch.
    """

    pre_BxD: Array
    f_BxD: Array
    z_BxD: Array
    residual_BxF: Array
    dead_D: Array
    valid_B: Array | None


class Dictionary(System):
    """A dictionary of D directions, some of which add up to an input.

        f = activation((x - b_dec) W_enc + b_enc),    z = select(f)
        x_hat = z W_dec + b_dec,                      each row of W_dec of length 1
        loss = |x - x_hat|^2 + penalty

    Inputs may have any values and any shape (H, W, C): the model sees them as vectors of F = H W C
    values. A system gives `penalty`, and overrides `activation`, `layer` or `select`.

    References:
        Bricken et al., "Towards Monosemanticity", 2023 (decoder of unit norm).
    """

    ema_decay: Annotated[float, Interval(ge=0, lt=1)] = 0.99
    """Decay of the threshold's running average per step. 0.999, as in dictionary_learning, is for
    runs that are long beside 1,000 steps: it remembers weights of long before."""
    dead_after: Annotated[int, Ge(1)] = 10_000
    """For how many examples a latent must have been silent to count as dead."""
    pixel_reduction: Reduction = "mean"
    """How the squared error is reduced over the values of an input."""

    def setup(self) -> None:
        super().setup()
        inputs, latents = math.prod(self.image_shape), self.latent_dim
        self.W_dec = self.param("W_dec", _random_directions, (latents, inputs))
        self.W_enc = self.param("W_enc", lambda key: self.W_dec.T)
        self.b_enc = self.param("b_enc", nn.initializers.zeros, (latents,), jnp.float32)
        self.b_dec = self.param("b_dec", nn.initializers.zeros, (inputs,), jnp.float32)
        self.batch_top_k = self.layer()
        self.silent = self.variable("batch_stats", "silent", jnp.zeros, (latents,), jnp.int32)
        self.mean_code = self.variable(
            "batch_stats", "mean_code", jnp.zeros, (latents,), jnp.float32
        )

    def layer(self) -> BatchTopK:
        """What keeps the statistics, and at inference decides which latents pass: here all that are
        positive."""
        return BatchTopK(
            self.latent_dim,
            importance="mean_abs_z",
            decay=self.ema_decay,
            selection="element",
            score=where_positive,
            calibration="lowest",
        )

    def activation(self, pre_BxD: Array) -> Array:
        """f_BxD."""
        return nn.relu(pre_BxD)

    def select(
        self, f_BxD: Array, valid_B: Array | None, progress: ArrayLike
    ) -> tuple[Array, ArrayLike]:
        """z_BxD in training, and the agreement of its mask with that of inference."""
        selection = self.batch_top_k.select(f_BxD, valid_B=valid_B, use_running_average=False)
        return f_BxD, selection.agreement

    def penalty(self, code: TrainingCode, progress: ArrayLike) -> tuple[Array, dict[str, Array]]:
        """What is added to the error of a training batch, and its parts by name, unweighted."""
        raise NotImplementedError

    def error(self, z_BxD: Array, target_BxHxWxC: Array, valid_B: Array | None) -> Array:
        """The error that is trained on."""
        return self._squared(self._residual(z_BxD, target_BxHxWxC), valid_B)

    def preactivations(self, x_BxHxWxC: Array) -> Array:
        """pre_BxD, before the activation."""
        x_BxF = self.standardized(x_BxHxWxC).reshape(x_BxHxWxC.shape[0], -1)
        product_BxD = centred_product(self.dtype, x_BxF, self.b_dec, self.W_enc)
        return product_BxD + self.b_enc[None, :]

    def latents(self, x_BxHxWxC: Array) -> Array:
        """f_BxD, before the selection."""
        return self.activation(self.preactivations(x_BxHxWxC))

    def sparsify(self, z_BxD: Array) -> Array:
        """z_BxD where it is positive and passes as at inference."""
        return self.batch_top_k(z_BxD, use_running_average=True)

    def encode(
        self, x_BxHxWxC: Array, *, sample: bool = False, use_running_average: bool = True
    ) -> Array:
        """See `System.encode`; nothing is random here, whatever `sample` says."""
        return self.batch_top_k(self.latents(x_BxHxWxC), use_running_average=use_running_average)

    def decode(self, z_BxD: Array) -> Array:
        """Inputs from codes, not clipped to any range."""
        return self.restored(self._decoded(z_BxD))

    def _decoded(self, z_BxD: Array) -> Array:
        """Standardised inputs from codes."""
        x_BxF = self._product(z_BxD, self.W_dec) + self.b_dec[None, :]
        return x_BxF.reshape(-1, *self.image_shape)

    def loss(
        self,
        x_BxHxWxC: Array,
        target_BxHxWxC: Array,
        valid_B: Array | None = None,
        *,
        train: bool,
        progress: ArrayLike = 1.0,
    ) -> tuple[Array, dict[str, Array]]:
        """See `System.loss`.

        In training the terms have those of `penalty`, without their weights, "dead", the number of
        dead latents, and "agreement", that of the batch's mask with the one of inference.
        """
        pre_BxD = self.preactivations(x_BxHxWxC)
        f_BxD = self.activation(pre_BxD)
        if not train:
            residual_BxF = self._residual(self.sparsify(f_BxD), target_BxHxWxC)
            reconstruction = self._squared(residual_BxF, valid_B)
            return reconstruction, {"loss": reconstruction, "reconstruction": reconstruction}

        seen = self.batch_top_k.variables["batch_stats"]["count"]
        z_BxD, agreement = self.select(f_BxD, valid_B, progress)
        dead_D = self._observe(z_BxD, valid_B, seen)
        residual_BxF = self._residual(z_BxD, target_BxHxWxC)
        reconstruction = self._squared(residual_BxF, valid_B)
        code = TrainingCode(pre_BxD, f_BxD, z_BxD, residual_BxF, dead_D, valid_B)
        penalty, parts = self.penalty(code, progress)
        loss = self.error(z_BxD, target_BxHxWxC, valid_B) + penalty
        return loss, {
            "loss": loss,
            "reconstruction": reconstruction,
            **parts,
            "dead": jnp.sum(dead_D, dtype=jnp.float32),
            "agreement": jnp.asarray(agreement),
        }

    def prior(self, n: int, frequency_D: Array) -> Array:
        """n codes of independent latents: each active as often as in training and as strong as it
        is there on average, its excess over the threshold being exponential."""
        gate_key, excess_key = jax.random.split(self.make_rng("latent"))
        threshold = self.batch_top_k.variables["batch_stats"]["threshold"]
        mean_D = self.mean_code.value / jnp.maximum(frequency_D, 1e-12)
        excess_NxD = jax.random.exponential(excess_key, (n, self.latent_dim), jnp.float32)
        z_NxD = threshold + excess_NxD * jnp.maximum(mean_D - threshold, 0.0)[None, :]
        return apply_mask(z_NxD, jax.random.bernoulli(gate_key, frequency_D[None, :], z_NxD.shape))

    def start(self, params: dict, x_NxHxWxC: Array, key: jax.Array) -> dict:
        """b_dec is the geometric median of the inputs, the encoder the decoder's transpose."""
        median_F = geometric_median(x_NxHxWxC.reshape(len(x_NxHxWxC), -1))
        return params | {"b_dec": median_F, "W_enc": params["W_dec"].T}

    @staticmethod
    def optimizer(inner: optax.GradientTransformation) -> optax.GradientTransformation:
        """Steps along the sphere: without the gradient's component parallel to each direction, with
        the global norm of the rest clipped at 1, and the directions scaled to length 1 at the end.
        """
        return optax.chain(
            optax.stateless(_without_parallel),
            optax.clip_by_global_norm(LARGEST_GRADIENT),
            inner,
            optax.stateless(_onto_sphere),
        )

    def _product(self, a_BxN: Array, b_NxM: Array) -> Array:
        return _matmul(self.dtype, a_BxN, b_NxM)

    def _residual(self, z_BxD: Array, target_BxHxWxC: Array) -> Array:
        target_BxHxWxC = self.standardized(target_BxHxWxC)
        return (target_BxHxWxC - self._decoded(z_BxD)).reshape(len(z_BxD), -1)

    def _squared(self, error_BxF: Array, valid_B: Array | None) -> Array:
        reduce = {"sum": jnp.sum, "mean": jnp.mean}[self.pixel_reduction]
        return batch_average(reduce(jnp.square(error_BxF), axis=1), valid_B)

    def _observe(self, z_BxD: Array, valid_B: Array | None, seen: Array) -> Array:
        """dead_D, this batch included; keeps how long each latent has been silent and its mean."""
        mean_D = batch_mean(jax.lax.stop_gradient(z_BxD), valid_B)
        examples = len(z_BxD) if valid_B is None else jnp.sum(valid_B, dtype=jnp.int32)
        longer_D = jnp.minimum(self.silent.value + examples, self.dead_after)
        silent_D = jnp.where(mean_D > 0, 0, longer_D)
        self.silent.value = silent_D
        mean_code_D = update_ema(self.mean_code.value, mean_D, seen, self.ema_decay)
        self.mean_code.value = jnp.where(examples > 0, mean_code_D, self.mean_code.value)
        return silent_D >= self.dead_after


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def centred_product(dtype: jnp.dtype, x_BxF: Array, b_F: Array, w_FxD: Array) -> Array:
    """(x - b) W in arithmetic of that type, summed in float32.

    The gradient of b takes the sum over the batch before the product, -W (sum over B of the
    cotangent), where differentiation alone takes a product of the size of the batch first.

    Examples:
        >>> x_BxF, w_FxD = jnp.array([[3.0, 1.0]]), jnp.array([[1.0], [2.0]])
        >>> centred_product(jnp.float32, x_BxF, jnp.array([1.0, 1.0]), w_FxD).tolist()
        [[2.0]]
    """
    return _matmul(dtype, x_BxF - b_F[None, :], w_FxD)


@centred_product.defjvp
def _centred_product_jvp(
    dtype: jnp.dtype, primals: tuple[Array, ...], tangents: tuple[Array, ...]
) -> tuple[Array, Array]:
    x_BxF, b_F, w_FxD = primals
    dx_BxF, db_F, dw_FxD = tangents
    y_BxD = centred_product(dtype, x_BxF, b_F, w_FxD)
    of_b_BxD = jnp.broadcast_to(_matmul(dtype, db_F[None, :], w_FxD), y_BxD.shape)
    of_w_BxD = _matmul(dtype, x_BxF - b_F[None, :], dw_FxD)
    return y_BxD, _matmul(dtype, dx_BxF, w_FxD) - of_b_BxD + of_w_BxD


def _matmul(dtype: jnp.dtype, a_BxN: Array, b_NxM: Array) -> Array:
    return jnp.matmul(a_BxN.astype(dtype), b_NxM.astype(dtype), preferred_element_type=jnp.float32)


def where_positive(z_BxD: Array, mu_BxD: Array, logvar_BxD: Array) -> Array:
    """The score of a dictionary: z itself; what is not positive never passes.

    Examples:
        >>> z_BxD = jnp.array([[2.0, 0.0]])
        >>> where_positive(z_BxD, z_BxD, z_BxD).tolist()
        [[2.0, -inf]]
    """
    return jnp.where(z_BxD > 0, z_BxD, -jnp.inf)


def _random_directions(key: Array, shape: tuple[int, int]) -> Array:
    return unit_rows(jax.random.normal(key, shape, jnp.float32))


def _without_parallel(grads: dict, params: dict) -> dict:
    unit_DxF = unit_rows(params["W_dec"])
    along_Dx1 = jnp.sum(grads["W_dec"] * unit_DxF, axis=1, keepdims=True)
    return {**grads, "W_dec": grads["W_dec"] - along_Dx1 * unit_DxF}


def _onto_sphere(updates: dict, params: dict) -> dict:
    moved_DxF = unit_rows(params["W_dec"] + updates["W_dec"])
    return {**updates, "W_dec": moved_DxF - params["W_dec"]}
