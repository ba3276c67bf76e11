"""The TopK sparse autoencoder, and what all dictionaries share that keep the k largest latents."""

from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.bottleneck import BatchTopK
from vae_topk_jax.importance import batch_mean
from vae_topk_jax.losses import batch_average
from vae_topk_jax.models.dictionary import Dictionary, TrainingCode, where_positive
from vae_topk_jax.models.system import check_k
from vae_topk_jax.selection import apply_mask, sample_top_k_mask


class TopKDictionary(Dictionary):
    """A dictionary of which k latents pass, and whose dead latents learn what is left over.

        penalty = aux_weight |e - f_aux W_dec|^2 / Var(e),    e = x - x_hat, constant

    f_aux holds the aux_k largest dead latents of each input.

    References:
        Gao et al., "Scaling and evaluating sparse autoencoders", 2024, appendix A (dead latents).
    """

    k: Annotated[int, Ge(1)] = 8
    """How many latents an input has on average."""
    aux_weight: Annotated[float, Ge(0)] = 0.03125
    """Weight of the dead latents' reconstruction of the residual, 1/32 in the papers."""
    aux_k: Annotated[int, Ge(0)] = 0
    """How many dead latents an input is given for that; 0: half as many as it has values."""

    def check(self) -> None:
        check_k(self.k, self.latent_dim)

    def select(
        self, f_BxD: Array, valid_B: Array | None, progress: ArrayLike
    ) -> tuple[Array, ArrayLike]:
        selection = self.batch_top_k.select(f_BxD, valid_B=valid_B, use_running_average=False)
        return apply_mask(f_BxD, selection.mask_BxD), selection.agreement

    def penalty(self, code: TrainingCode, progress: ArrayLike) -> tuple[Array, dict[str, Array]]:
        """The fraction of the residual's variance left by the dead latents; 0 if none is dead."""
        aux_k = min(self.aux_k or max(1, code.residual_BxF.shape[1] // 2), self.latent_dim)
        dead = jnp.sum(code.dead_D, dtype=jnp.int32)

        def of_all_dead() -> Array:
            # As many as are chosen of at most, so that all of them are: without the other columns.
            (index_A,) = jnp.nonzero(code.dead_D, size=aux_k, fill_value=self.latent_dim)
            f_BxA = code.f_BxD.at[:, index_A].get(mode="fill", fill_value=0.0)
            W_AxF = self.W_dec.at[index_A].get(mode="fill", fill_value=0.0)
            return self._left(code, jnp.where(f_BxA > 0, f_BxA, 0.0), W_AxF)

        def of_the_largest() -> Array:
            is_dead_BxD = code.dead_D[None, :] & (code.f_BxD > 0)
            rank_BxD = jnp.where(is_dead_BxD, code.f_BxD, -jnp.inf)
            chosen_BxD = apply_mask(code.f_BxD, sample_top_k_mask(rank_BxD, aux_k))
            return self._left(code, chosen_BxD, self.W_dec)

        branches = (lambda: jnp.float32(0.0), of_all_dead, of_the_largest)
        which = (dead > 0).astype(jnp.int32) + (dead > aux_k).astype(jnp.int32)
        auxiliary = jax.lax.switch(which, branches)
        return self.aux_weight * auxiliary, {"auxiliary": auxiliary}

    def _left(self, code: TrainingCode, aux_BxA: Array, W_AxF: Array) -> Array:
        """The fraction of the residual's variance that these latents leave."""
        residual_BxF = jax.lax.stop_gradient(code.residual_BxF)
        again_BxF = self._product(aux_BxA, W_AxF)
        mean_F = batch_mean(residual_BxF, code.valid_B)
        error, variance = (
            batch_average(jnp.sum(jnp.square(residual_BxF - guess), axis=1), code.valid_B)
            for guess in (again_BxF, mean_F[None, :])
        )
        return jnp.where(variance > 0, error / jnp.where(variance > 0, variance, 1.0), 0.0)


class TopKSAE(TopKDictionary):
    """A dictionary of D directions, of which the k largest of each input add up to it.

        f = ReLU((x - b_dec) W_enc + b_enc),    z = the k largest entries of each row of f

    in training and at inference alike. For the rest see `Dictionary` and `TopKDictionary`.

    Examples:
        >>> model = TopKSAE(image_shape=(1, 1, 16), latent_dim=64, k=4)
        >>> x = jax.random.normal(jax.random.key(0), (32, 1, 1, 16))
        >>> variables = model.init(jax.random.key(1), x)
        >>> codes = model.apply(variables, x, method="encode")
        >>> (codes != 0).sum(axis=1).max().item()
        4

    References:
        Makhzani & Frey, "k-Sparse Autoencoders", ICLR 2014; Gao et al., "Scaling and evaluating
        sparse autoencoders", 2024.
    """

    def layer(self) -> BatchTopK:
        return BatchTopK(
            self.k,
            importance="mean_abs_z",
            decay=self.ema_decay,
            selection="sample",
            score=where_positive,
        )
