"""The gated sparse autoencoder: which latents are active and how strong they are, apart."""

from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp
from annotated_types import Ge
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.losses import batch_average
from vae_topk_jax.models.dictionary import Dictionary, TrainingCode


class GatedSAE(Dictionary):
    """A dictionary of D directions with a penalty on the gates of its latents, not on the latents.

        pre = (x - b_dec) W_enc + b_enc,    f = exp(r_mag) (x - b_dec) W_enc + b_mag
        z = ReLU(f) where pre > 0, else 0
        loss = |x - x_hat|^2 + |x - ReLU(pre) W_dec - b_dec|^2
               + sparsity_weight sum over d of ReLU(pre_d),    W_dec, b_dec constant in the second

    A penalty on the latents themselves, as `ReLUSAE` has it, shrinks them. Here the gates alone are
    taxed; they share the directions of the encoder with the latents, up to a factor each. How many
    are active follows from the weight.

    Examples:
        >>> model = GatedSAE(image_shape=(1, 1, 16), latent_dim=64)
        >>> x = jax.random.normal(jax.random.key(0), (2, 1, 1, 16))
        >>> variables = model.init(jax.random.key(1), x)
        >>> variables["params"]["b_enc"] = jnp.full(64, -100.0)
        >>> bool((model.apply(variables, x, method="latents") == 0).all())
        True

    References:
        Rajamanoharan et al., "Improving Dictionary Learning with Gated Sparse Autoencoders", arXiv
        2404.16014.
    """

    sparsity_weight: Annotated[float, Ge(0)] = 0.001
    """Weight of the sum of the gates."""

    def setup(self) -> None:
        super().setup()
        zeros, shape = nn.initializers.zeros, (self.latent_dim,)
        self.r_mag = self.param("r_mag", zeros, shape, jnp.float32)
        self.b_mag = self.param("b_mag", zeros, shape, jnp.float32)

    def activation(self, pre_BxD: Array) -> Array:
        product_BxD = pre_BxD - self.b_enc[None, :]
        magnitude_BxD = jnp.exp(self.r_mag)[None, :] * product_BxD + self.b_mag[None, :]
        return jnp.where(pre_BxD > 0, nn.relu(magnitude_BxD), 0.0)

    def penalty(self, code: TrainingCode, progress: ArrayLike) -> tuple[Array, dict[str, Array]]:
        """What the gates leave of the inputs, and their sum."""
        gate_BxD = nn.relu(code.pre_BxD)
        z_BxD, residual_BxF, W_DxF = jax.lax.stop_gradient(
            (code.z_BxD, code.residual_BxF, self.W_dec)
        )
        left_BxF = residual_BxF + self._product(z_BxD - gate_BxD, W_DxF)
        auxiliary = self._squared(left_BxF, code.valid_B)
        l1 = batch_average(jnp.sum(gate_BxD, axis=1), code.valid_B)
        return auxiliary + self.sparsity_weight * l1, {"auxiliary": auxiliary, "l1": l1}
