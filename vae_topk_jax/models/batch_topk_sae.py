"""The BatchTopK sparse autoencoder of activations, or of any other vectors."""

from typing import Annotated

from annotated_types import Ge, Interval
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.bottleneck import BatchTopK
from vae_topk_jax.element import element_top_k
from vae_topk_jax.models.dictionary import where_positive
from vae_topk_jax.models.top_k_sae import TopKDictionary
from vae_topk_jax.selection import annealed_k, apply_mask


class BatchTopKSAE(TopKDictionary):
    """A dictionary of D directions, of which k on average add up to an input.

        f = ReLU((x - b_dec) W_enc + b_enc),    z = the B k largest of the B D entries of f,
        x_hat = z W_dec + b_dec,                each row of W_dec of length 1
        loss = |x - x_hat|^2 + aux_weight |e - f_aux W_dec|^2 / Var(e),    e = x - x_hat, constant

    f_aux holds the aux_k largest dead latents of each input. At inference z = f where f reaches a
    threshold: the running average of the smallest positive entry that a batch keeps. Inputs may
    have any values and any shape (H, W, C): the model sees them as vectors of F = H W C.

    Examples:
        >>> import jax
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

    threshold_start: Annotated[int, Ge(0)] = 1000
    """How many steps the average of the threshold leaves out; without many more it is that of about
    the last tenth of the steps. It starts as a plain mean, where dictionary_learning lets the first
    batch decide it for a long while."""
    k_anneal: Annotated[float, Interval(ge=0, le=1)] = 0.0
    """Fraction of training over which the number of latents falls geometrically from D to K; the
    threshold is that of K throughout."""

    def layer(self) -> BatchTopK:
        return BatchTopK(
            self.k,
            importance="mean_abs_z",
            decay=self.ema_decay,
            selection="element",
            score=where_positive,
            calibration="lowest",
            calibrate_after=self.threshold_start,
        )

    def select(
        self, f_BxD: Array, valid_B: Array | None, progress: ArrayLike
    ) -> tuple[Array, ArrayLike]:
        z_BxD, agreement = super().select(f_BxD, valid_B, progress)
        if self.k_anneal:
            k = annealed_k(self.k, self.latent_dim, progress, self.k_anneal)
            z_BxD = apply_mask(f_BxD, element_top_k(f_BxD, k, valid_B).mask_BxD)
        return z_BxD, agreement
