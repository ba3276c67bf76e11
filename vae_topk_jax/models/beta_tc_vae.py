"""The beta-TC-VAE: a VAE whose latents are pulled towards independence, estimated on the batch."""

import math
from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.checks import check_batch, check_valid
from vae_topk_jax.losses import batch_average
from vae_topk_jax.models.vae import BetaVAE
from vae_topk_jax.objectives import SETTINGS


class BetaTCVAE(BetaVAE):
    """A beta-VAE whose loss has the total correlation of the latents besides.

        loss = reconstruction + beta (KL + tc_weight TC),    TC = KL(q(z) || prod_d q(z_d))

    with q(z) the mean of the posteriors over the data, estimated by `total_correlation`. The KL
    holds the TC once already, so that Chen et al.'s beta, the weight of the TC as a whole, is
    1 + `tc_weight` where this beta is 1 and all reductions are sums. With `latent_reduction="mean"`
    the TC is divided by D as the KL is.

    Examples:
        >>> model = BetaTCVAE(image_shape=(4, 4, 1), latent_dim=3, widths=(16,), tc_weight=5.0)
        >>> x = jax.random.uniform(jax.random.key(0), (8, 4, 4, 1))
        >>> variables = model.init(jax.random.key(1), x)
        >>> rngs = {"latent": jax.random.key(2)}
        >>> loss, terms = model.apply(variables, x, x, train=True, method="loss", rngs=rngs)
        >>> sorted(terms)
        ['kl', 'loss', 'reconstruction', 'total_correlation']

    References:
        Chen, Li, Grosse & Duvenaud, "Isolating Sources of Disentanglement in VAEs", NeurIPS 2018.
    """

    fixed = SETTINGS

    tc_weight: Annotated[float, Ge(0)] = 5.0
    """Weight of the total correlation beside the KL, which beta multiplies both."""

    def regularised(
        self,
        terms: dict[str, Array],
        z_BxD: Array,
        mu_BxD: Array,
        logvar_BxD: Array,
        valid_B: Array | None,
        progress: ArrayLike,
    ) -> dict[str, Array]:
        """The terms with "total_correlation", without its weights, and the loss with it."""
        correlation = total_correlation(z_BxD, mu_BxD, logvar_BxD, valid_B)
        weighted = self._weighted(correlation, progress)
        return terms | {"loss": terms["loss"] + weighted, "total_correlation": correlation}

    def _weighted(self, correlation: Array, progress: ArrayLike) -> Array:
        """beta tc_weight TC, reduced as the KL is."""
        latents = self.latent_dim if self.latent_reduction == "mean" else 1
        return correlation * self._warmed_up_beta(progress) * self.tc_weight / latents


def total_correlation(
    z_BxD: Array, mu_BxD: Array, logvar_BxD: Array, valid_B: Array | None = None
) -> Array:
    """How far the latents of a batch are from independent of one another, in nats.

        TC = 1/B sum_i log( 1/B sum_j prod_d q_j(z_id) / prod_d 1/B sum_j q_j(z_id) )

    with q_j = N(mu_j, exp(logvar_j)) the posterior of example j and z_i a draw from q_i: q(z) is
    the mixture of the batch's own posteriors. Chen et al.'s minibatch-weighted sampling divides
    each mixture by the size of the data set too, which adds a constant and changes no gradient.

    The mixture of a batch is coarser than that of the data, and what it gives is too high where B
    is small beside exp(I(x; z)).

    Args:
        z_BxD: one draw from each posterior.
        mu_BxD, logvar_BxD: of the posteriors.
        valid_B: marks the real examples of a padded batch.

    Raises:
        ValueError: other shapes.

    Examples:
        >>> mu_BxD = jnp.array([[0.0, 0.0], [9.0, 9.0]])  # each latent tells the other
        >>> round(total_correlation(mu_BxD, mu_BxD, jnp.zeros((2, 2))).item(), 4)  # log 2
        0.6931

    References:
        Chen et al., NeurIPS 2018, equation 2 and appendix C.1.
    """
    check_batch(z=z_BxD, mu=mu_BxD, logvar=logvar_BxD)
    check_valid(valid_B, len(z_BxD))
    scaled_BxBxD = (z_BxD[:, None] - mu_BxD[None]) * jnp.exp(-0.5 * logvar_BxD)[None]
    density_BxBxD = -0.5 * (jnp.square(scaled_BxBxD) + logvar_BxD[None] + math.log(2 * math.pi))
    valid_B = jnp.ones(len(z_BxD), bool) if valid_B is None else valid_B.astype(bool)
    weight_B = valid_B.astype(jnp.float32)
    weight_B = weight_B / jnp.maximum(jnp.sum(weight_B), 1.0)

    def mixture(density: Array) -> Array:
        """The logarithm of the mean over the valid examples, of axis 1."""
        weight = weight_B.reshape(1, -1, *(1,) * (density.ndim - 2))
        return jax.nn.logsumexp(density, axis=1, b=jnp.broadcast_to(weight, density.shape))

    joint_B = mixture(jnp.sum(density_BxBxD, axis=2))
    apart_B = jnp.sum(mixture(density_BxBxD), axis=1)
    return batch_average(joint_B - apart_B, valid_B)
