"""The BatchTopK sparse autoencoder of activations, or of any other vectors."""

import math
from typing import Annotated

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
from vae_topk_jax.models.system import System, check_k
from vae_topk_jax.selection import (
    annealed_k,
    apply_mask,
    element_top_k,
    sample_top_k_mask,
)

MEDIAN_STEPS = 100
LARGEST_GRADIENT = 1.0


class BatchTopKSAE(System):
    """A dictionary of D directions, of which k on average add up to an input.

        f = ReLU((x - b_dec) W_enc + b_enc),    z = the B k largest of the B D entries of f,
        x_hat = z W_dec + b_dec,                each row of W_dec of length 1
        loss = |x - x_hat|^2 + aux_weight |e - f_aux W_dec|^2 / Var(e),    e = x - x_hat, constant

    f_aux holds the aux_k largest dead latents of each input. At inference z = f where f reaches a
    threshold: the running average of the smallest positive entry that a batch keeps. Inputs may
    have any values and any shape (H, W, C): the model sees them as vectors of F = H W C.

    Examples:
        >>> model = BatchTopKSAE(image_shape=(1, 1, 16), latent_dim=64, k=4)
        >>> x = jax.random.normal(jax.random.key(0), (32, 1, 1, 16))
        >>> variables = model.init(jax.random.key(1), x)
        >>> _, stats = model.apply(
        ...     variables, x, x, train=True, method="loss", mutable="batch_stats"
        ... )
        >>> codes = model.apply({**variables, **stats}, x, method="encode")
        >>> int((codes != 0).sum()) == 32 * 4
        True

    With `standardize`, x is the standardised input in all of this, and W_dec and b_dec are in its
    units; `interop.in_input_units` gives the parameters in those of the inputs.

    References:
        Bussmann, Leask & Nanda, "BatchTopK Sparse Autoencoders", 2024 (selection, threshold); Gao
        et al., "Scaling and evaluating sparse autoencoders", 2024, appendix A (dead latents);
        Bricken et al., "Towards Monosemanticity", 2023 (decoder of unit norm).
    """

    k: Annotated[int, Ge(1)] = 8
    """How many latents an input has on average."""
    ema_decay: Annotated[float, Interval(ge=0, lt=1)] = 0.99
    """Decay of the threshold's running average per step. 0.999, as in dictionary_learning, is for
    runs that are long beside 1,000 steps: it remembers weights of long before."""
    threshold_start: Annotated[int, Ge(0)] = 1000
    """How many steps the average of the threshold leaves out; without many more it is that of about
    the last tenth of the steps. It starts as a plain mean, where dictionary_learning lets the first
    batch decide it for a long while."""
    k_anneal: Annotated[float, Interval(ge=0, le=1)] = 0.0
    """Fraction of training over which the number of latents falls geometrically from D to K; the
    threshold is that of K throughout."""
    aux_weight: Annotated[float, Ge(0)] = 0.03125
    """Weight of the dead latents' reconstruction of the residual, 1/32 in the papers."""
    aux_k: Annotated[int, Ge(0)] = 0
    """How many dead latents an input is given for that; 0: half as many as it has values."""
    dead_after: Annotated[int, Ge(1)] = 10_000
    """For how many examples a latent must have been silent to count as dead."""
    pixel_reduction: Reduction = "mean"
    """How the squared error is reduced over the values of an input."""

    def check(self) -> None:
        check_k(self.k, self.latent_dim)

    def setup(self) -> None:
        super().setup()
        inputs, latents = math.prod(self.image_shape), self.latent_dim
        self.W_dec = self.param("W_dec", _random_directions, (latents, inputs))
        self.W_enc = self.param("W_enc", lambda key: self.W_dec.T)
        self.b_enc = self.param("b_enc", nn.initializers.zeros, (latents,), jnp.float32)
        self.b_dec = self.param("b_dec", nn.initializers.zeros, (inputs,), jnp.float32)
        self.batch_top_k = BatchTopK(
            self.k,
            importance="mean_abs_z",
            decay=self.ema_decay,
            selection="element",
            score=_where_positive,
            calibration="lowest",
            calibrate_after=self.threshold_start,
        )
        self.silent = self.variable("batch_stats", "silent", jnp.zeros, (latents,), jnp.int32)
        self.mean_code = self.variable(
            "batch_stats", "mean_code", jnp.zeros, (latents,), jnp.float32
        )

    def latents(self, x_BxHxWxC: Array) -> Array:
        """f_BxD, before the selection."""
        x_BxF = self.standardized(x_BxHxWxC).reshape(x_BxHxWxC.shape[0], -1)
        centred_BxF = x_BxF - self.b_dec[None, :]
        return nn.relu(self._product(centred_BxF, self.W_enc) + self.b_enc[None, :])

    def sparsify(self, z_BxD: Array) -> Array:
        """z_BxD where it is positive and reaches the threshold."""
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

        In training the terms have "auxiliary", without its weight, "dead", the number of dead
        latents, and "agreement", that of the batch's mask with the threshold's.
        """
        f_BxD = self.latents(x_BxHxWxC)
        if not train:
            residual_BxF = self._residual(self.sparsify(f_BxD), target_BxHxWxC)
            reconstruction = self._squared(residual_BxF, valid_B)
            return reconstruction, {"loss": reconstruction, "reconstruction": reconstruction}

        seen = self.batch_top_k.variables["batch_stats"]["count"]
        selection = self.batch_top_k.select(f_BxD, valid_B=valid_B, use_running_average=False)
        mask_BxD = selection.mask_BxD
        if self.k_anneal:
            k = annealed_k(self.k, self.latent_dim, progress, self.k_anneal)
            mask_BxD = element_top_k(f_BxD, k, valid_B).mask_BxD
        z_BxD = apply_mask(f_BxD, mask_BxD)
        dead_D = self._observe(z_BxD, valid_B, seen)
        residual_BxF = self._residual(z_BxD, target_BxHxWxC)
        reconstruction = self._squared(residual_BxF, valid_B)
        auxiliary = self._auxiliary(f_BxD, dead_D, jax.lax.stop_gradient(residual_BxF), valid_B)
        loss = reconstruction + self.aux_weight * auxiliary
        return loss, {
            "loss": loss,
            "reconstruction": reconstruction,
            "auxiliary": auxiliary,
            "dead": jnp.sum(dead_D, dtype=jnp.float32),
            "agreement": jnp.asarray(selection.agreement),
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
        a_BxN, b_NxM = a_BxN.astype(self.dtype), b_NxM.astype(self.dtype)
        return jnp.matmul(a_BxN, b_NxM, preferred_element_type=jnp.float32)

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

    def _auxiliary(
        self, f_BxD: Array, dead_D: Array, residual_BxF: Array, valid_B: Array | None
    ) -> Array:
        """The fraction of the residual's variance left by the dead latents; 0 if none is dead."""
        aux_k = min(self.aux_k or max(1, residual_BxF.shape[1] // 2), self.latent_dim)

        def left() -> Array:
            rank_BxD = jnp.where(dead_D[None, :], f_BxD, -jnp.inf)
            aux_BxD = apply_mask(f_BxD, sample_top_k_mask(rank_BxD, aux_k))
            again_BxF = self._product(aux_BxD, self.W_dec)
            mean_F = batch_mean(residual_BxF, valid_B)
            error, variance = (
                batch_average(jnp.sum(jnp.square(residual_BxF - guess), axis=1), valid_B)
                for guess in (again_BxF, mean_F[None, :])
            )
            return jnp.where(variance > 0, error / jnp.where(variance > 0, variance, 1.0), 0.0)

        return jax.lax.cond(jnp.any(dead_D), left, lambda: jnp.float32(0.0))


def unit_rows(w_DxF: Array) -> Array:
    """The rows scaled to length 1; a row of zeros stays one.

    Examples:
        >>> unit_rows(jnp.array([[0.0, 2.0], [0.0, 0.0]])).tolist()
        [[0.0, 1.0], [0.0, 0.0]]
    """
    length_Dx1 = jnp.linalg.norm(w_DxF, axis=1, keepdims=True)
    return w_DxF / jnp.where(length_Dx1 > 0, length_Dx1, 1.0)


@jax.jit
def geometric_median(x_NxF: Array) -> Array:
    """The point with the smallest sum of distances to the rows, by Weiszfeld's iteration.

    Examples:
        >>> x_NxF = jnp.array([[0.0, 0.0], [0.0, 1.0], [9.0, 0.0], [0.0, -1.0], [-9.0, 0.0]])
        >>> jnp.abs(geometric_median(x_NxF)).max().item() < 1e-3
        True

    References:
        Weiszfeld & Plastria, "On the point for which the sum of the distances to n given points is
        minimum", 2009.
    """

    def closer(_: Array, guess_F: Array) -> Array:
        distance_N = jnp.linalg.norm(x_NxF - guess_F[None, :], axis=1)
        weight_N = 1.0 / jnp.maximum(distance_N, 1e-6)
        return weight_N @ x_NxF / jnp.sum(weight_N)

    return jax.lax.fori_loop(0, MEDIAN_STEPS, closer, jnp.mean(x_NxF, axis=0))


def _random_directions(key: Array, shape: tuple[int, int]) -> Array:
    return unit_rows(jax.random.normal(key, shape, jnp.float32))


def _where_positive(z_BxD: Array, mu_BxD: Array, logvar_BxD: Array) -> Array:
    return jnp.where(z_BxD > 0, z_BxD, -jnp.inf)


def _without_parallel(grads: dict, params: dict) -> dict:
    unit_DxF = unit_rows(params["W_dec"])
    along_Dx1 = jnp.sum(grads["W_dec"] * unit_DxF, axis=1, keepdims=True)
    return {**grads, "W_dec": grads["W_dec"] - along_Dx1 * unit_DxF}


def _onto_sphere(updates: dict, params: dict) -> dict:
    moved_DxF = unit_rows(params["W_dec"] + updates["W_dec"])
    return {**updates, "W_dec": moved_DxF - params["W_dec"]}
