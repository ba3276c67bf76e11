"""FactorVAE: a VAE whose latents are pulled towards independence, judged by a discriminator."""

from collections.abc import Sequence
from typing import Annotated, Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from annotated_types import Ge
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.losses import batch_average
from vae_topk_jax.models.beta_tc_vae import BetaTCVAE
from vae_topk_jax.models.vae import Code

_DISCRIMINATOR = "discriminator"


class Discriminator(nn.Module):
    """Dense layers with leaky ReLU: z_BxD -> logit_B, above 0 for codes of the encoder."""

    widths: Sequence[int]

    @nn.compact
    def __call__(self, z_BxD: Array) -> Array:
        for width in self.widths:
            z_BxD = nn.leaky_relu(nn.Dense(width)(z_BxD), 0.2)
        return nn.Dense(1)(z_BxD)[:, 0]


class FactorVAE(BetaTCVAE):
    """A beta-VAE whose loss has the total correlation of the latents, as a discriminator sees it.

        loss = reconstruction + beta (KL + tc_weight TC) + cross-entropy of the discriminator
        TC = mean of log D(z) / (1 - D(z))

    The discriminator D tells codes z of the encoder from codes whose latents are shuffled over the
    batch, each for itself (`permute_dims`), and learns from its cross-entropy alone; the rest of
    the model learns from the other terms alone, where D is a constant. D has an Adam of its own,
    with the paper's settings (1e-4; 0.5, 0.9), whatever the optimizer of the model.

    Unlike the paper's, the shuffled codes come from the same batch as the others. Kim & Mnih's
    gamma is `tc_weight` where beta is 1 and all reductions are sums.

    Examples:
        >>> model = FactorVAE(image_shape=(4, 4, 1), latent_dim=3, widths=(16,))
        >>> x = jax.random.uniform(jax.random.key(0), (8, 4, 4, 1))
        >>> variables = model.init(jax.random.key(1), x)
        >>> rngs = {"latent": jax.random.key(2)}
        >>> loss, terms = model.apply(variables, x, x, train=True, method="loss", rngs=rngs)
        >>> sorted(terms)
        ['discriminator', 'kl', 'loss', 'reconstruction', 'total_correlation']

    References:
        Kim & Mnih, "Disentangling by Factorising", ICML 2018.
    """

    discriminator_widths: Annotated[tuple[int, ...], Ge(1)] = (256, 256, 256)
    """Widths of the discriminator's layers; the paper's has six of 1000."""

    def setup(self) -> None:
        super().setup()
        self.discriminator = Discriminator(self.discriminator_widths)

    def bottleneck(self, z_BxD: Array, *args: Any, **options: Any) -> Code:
        if self.is_initializing():
            self.discriminator(z_BxD)
        return super().bottleneck(z_BxD, *args, **options)

    def regularised(
        self,
        terms: dict[str, Array],
        z_BxD: Array,
        mu_BxD: Array,
        logvar_BxD: Array,
        valid_B: Array | None,
        progress: ArrayLike,
    ) -> dict[str, Array]:
        """The terms with "total_correlation", without its weights, and "discriminator", the
        cross-entropy in nats; the loss with both."""
        discriminator, variables = self.discriminator.unbind()
        judged_B = jnp.asarray(discriminator.apply(jax.lax.stop_gradient(variables), z_BxD))
        correlation = batch_average(judged_B, valid_B)

        codes_BxD = jax.lax.stop_gradient(z_BxD)
        shuffled_BxD = permute_dims(codes_BxD, self.make_rng("latent"), valid_B)
        of_both_B = jnp.stack(
            [
                optax.sigmoid_binary_cross_entropy(self.discriminator(codes_BxD), 1.0),
                optax.sigmoid_binary_cross_entropy(self.discriminator(shuffled_BxD), 0.0),
            ]
        )
        entropy = batch_average(jnp.mean(of_both_B, axis=0), valid_B)
        loss = terms["loss"] + self._weighted(correlation, progress) + entropy
        return terms | {
            "loss": loss,
            "total_correlation": correlation,
            "discriminator": entropy,
        }

    @staticmethod
    def optimizer(inner: optax.GradientTransformation) -> optax.GradientTransformation:
        """`inner`, and the discriminator's Adam for its parameters."""

        def part_of(params: dict) -> dict:
            return {name: _DISCRIMINATOR if name == _DISCRIMINATOR else "rest" for name in params}

        own = optax.adam(1e-4, b1=0.5, b2=0.9)
        return optax.partition({_DISCRIMINATOR: own, "rest": inner}, part_of)


def permute_dims(z_BxD: Array, key: Array, valid_B: Array | None = None) -> Array:
    """Codes whose latents are shuffled over the batch, each for itself: draws from prod_d q(z_d).

    Args:
        z_BxD: codes.
        key: decides the order.
        valid_B: marks the real examples of a padded batch, among which is shuffled; what the others
            become is of no account.

    Examples:
        >>> z_BxD = jnp.array([[1.0, 1.0], [2.0, 2.0], [9.0, 9.0]])
        >>> shuffled_BxD = permute_dims(z_BxD, jax.random.key(0), jnp.array([True, True, False]))
        >>> jnp.sort(shuffled_BxD[:2], axis=0).tolist()
        [[1.0, 1.0], [2.0, 2.0]]

    References:
        Kim & Mnih, ICML 2018, algorithm 1.
    """
    drawn_BxD = jax.random.uniform(key, z_BxD.shape, jnp.float32)
    if valid_B is None:
        return jnp.take_along_axis(z_BxD, jnp.argsort(drawn_BxD, axis=0), axis=0)
    is_valid_B = valid_B.astype(bool)
    order_BxD = jnp.argsort(jnp.where(is_valid_B[:, None], drawn_BxD, jnp.inf), axis=0)
    place_B = jnp.maximum(jnp.cumsum(is_valid_B) - 1, 0)  # among the valid ones
    return jnp.take_along_axis(z_BxD, order_BxD[place_B], axis=0)
