"""The standard sparse autoencoder: ReLU latents under an L1 penalty."""

from typing import Annotated

import jax.numpy as jnp
from annotated_types import Ge
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.losses import batch_average
from vae_topk_jax.models.dictionary import Dictionary, TrainingCode


class ReLUSAE(Dictionary):
    """A dictionary of D directions whose latents are few because they are taxed.

        f = ReLU((x - b_dec) W_enc + b_enc)
        loss = |x - x_hat|^2 + sparsity_weight sum over d of f_d

    The directions have length 1, so that the penalty cannot be avoided by longer ones. It shrinks
    the latents, and how many are active follows from its weight.

    Examples:
        >>> import jax
        >>> model = ReLUSAE(image_shape=(1, 1, 16), latent_dim=64)
        >>> x = jnp.ones((2, 1, 1, 16))
        >>> variables = model.init(jax.random.key(1), x)
        >>> model.apply(variables, x, method="latents").shape
        (2, 64)

    References:
        Bricken et al., "Towards Monosemanticity", 2023; Cunningham et al., "Sparse Autoencoders
        Find Highly Interpretable Features in Language Models", 2023.
    """

    sparsity_weight: Annotated[float, Ge(0)] = 0.001
    """Weight of the sum of the latents."""

    def penalty(self, code: TrainingCode, progress: ArrayLike) -> tuple[Array, dict[str, Array]]:
        """The sum of the latents of an input."""
        l1 = batch_average(jnp.sum(code.z_BxD, axis=1), code.valid_B)
        return self.sparsity_weight * l1, {"l1": l1}
