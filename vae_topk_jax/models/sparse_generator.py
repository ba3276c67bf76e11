"""The sparse generator: a decoder whose latents are inferred by gradient steps."""

import math
from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt, Interval
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.models.generator import Generator
from vae_topk_jax.models.system import check_k
from vae_topk_jax.selection import apply_mask

# Fraction of training over which the spike shrinks from the slab's width to its own.
SHRINKING = 0.5
# How near to 1 the share of slabs may come.
MARGIN = 1e-3


class SparseGenerator(Generator):
    """A generator without an encoder, under a prior that becomes sparse during training.

        p(x|z) ~ exp(-error(decoder(z), x) / T),    p(z_d) = alpha N(0, 1) + (1 - alpha) N(0, s^2)

    with alpha = k / D. T is beta where both reductions are sums; beta P where that over P pixels is
    a mean, and 1 / D of it where that over D latents is one, so that error and prior weigh as they
    do in a beta-VAE. s falls geometrically from 1 to `spike_width` over the first half of a run.

    The latents of an image are where a short run of Langevin steps on log p(x|z) + log p(z) leads
    from a draw of the prior. Training lowers the error of the images that they give and holds them
    constant. At inference the run is one of ascent, from zero and without noise, and an entry of
    the code is zero unless the slab is the likelier to have made it. A step is explicit in the
    error and implicit in the prior, which makes it stable however narrow the spike:

        z <- (z - h grad error + sqrt(2 h T) eps) / (1 + h T (r + (1 - r) / s^2))

    where r is the probability that z comes from the slab; z times the inner bracket is the gradient
    of -log p(z).

    Examples:
        >>> model = SparseGenerator(image_shape=(8, 8, 1), latent_dim=6, k=2, widths=(16,))
        >>> x = jax.random.uniform(jax.random.key(0), (4, 8, 8, 1))
        >>> variables = model.init(jax.random.key(1), x)
        >>> model.apply(variables, x, method="encode").shape
        (4, 6)

    References:
        Li & Han, "Learning Sparse Latent Representations for Generator Model", 2022 (and WACV
        2024). Han et al., "Alternating Back-Propagation for Generator Network", AAAI 2017 (Langevin
        inference). Nijkamp et al., "Learning Multi-layer Latent Variable Model via Variational
        Optimization of Short Run MCMC for Approximate Inference", ECCV 2020 (short, afresh).
    """

    fixed = frozenset({"structural"})

    k: Annotated[int, Ge(1)] = 8
    """alpha D, how many latents the prior expects to be active."""
    inference_steps: Annotated[int, Interval(ge=1, le=10_000)] = 30
    """How many gradient steps infer the latents of an image."""
    inference_step_size: Annotated[float, Gt(0)] = 0.1
    """h, how far a step goes along the gradient of the error summed over pixels."""
    spike_width: Annotated[float, Interval(gt=0, lt=1)] = 0.05
    """Standard deviation of the prior's spikes after the first half of training."""

    def check(self) -> None:
        super().check()
        check_k(self.k, self.latent_dim)
        if self.rule.has_variance:
            raise ValueError(
                "likelihood must be gaussian, bernoulli or squared_error for the sparse generator, "
                f"whose temperature is the variance, got {self.likelihood!r}"
            )

    def infer(self, x_BxHxWxC: Array, progress: ArrayLike = 1.0, key: Array | None = None) -> Array:
        """z_BxD of the images, before any is set to zero.

        Args:
            x_BxHxWxC: the images.
            progress: fraction of training done.
            key: of the start and the noise; None: none, from zero.
        """
        shape = (x_BxHxWxC.shape[0], self.latent_dim)
        if self.is_initializing():
            return jnp.zeros(shape, jnp.float32)
        error_of, h = self._error(x_BxHxWxC), self.inference_step_size
        temperature, width = self._temperature(progress), self._width(progress)

        def descend(z_BxD: Array, noise_key: Array | None) -> tuple[Array, None]:
            z_to_BxD = z_BxD - h * jax.grad(error_of)(z_BxD)
            if noise_key is not None:
                eps_BxD = jax.random.normal(noise_key, shape, jnp.float32)
                z_to_BxD += jnp.sqrt(2.0 * h * temperature) * eps_BxD
            slab_BxD = slab_probability(z_BxD, self._alpha, width)
            pull_BxD = slab_BxD + (1.0 - slab_BxD) / jnp.square(width)
            return z_to_BxD / (1.0 + h * temperature * pull_BxD), None

        if key is None:
            return jax.lax.scan(
                descend, jnp.zeros(shape, jnp.float32), length=self.inference_steps
            )[0]
        start_key, noise_key = jax.random.split(key)
        start_BxD = self._draw(start_key, shape, width)
        noise_keys = jax.random.split(noise_key, self.inference_steps)
        return jax.lax.scan(descend, start_BxD, noise_keys)[0]

    def encode(
        self, x_BxHxWxC: Array, *, sample: bool = False, use_running_average: bool = True
    ) -> Array:
        key = self.make_rng("latent") if sample else None
        return self.sparsify(self.infer(x_BxHxWxC, key=key))

    def latents(self, x_BxHxWxC: Array) -> Array:
        """The latents before any is set to zero."""
        return self.infer(x_BxHxWxC)

    def sparsify(self, z_BxD: Array) -> Array:
        """z_BxD with exact zeros where the spike is the likelier to have made it."""
        return apply_mask(z_BxD, slab_probability(z_BxD, self._alpha, self.spike_width) >= 0.5)

    def loss(
        self,
        x_BxHxWxC: Array,
        target_BxHxWxC: Array,
        valid_B: Array | None = None,
        *,
        train: bool,
        progress: ArrayLike = 1.0,
    ) -> tuple[Array, dict[str, Array]]:
        """See `System.loss`: the reconstruction term alone, for the prior has no parameters."""
        if train:
            z_BxD = self.infer(x_BxHxWxC, progress, self.make_rng("latent"))
        else:
            z_BxD = self.encode(x_BxHxWxC)
        loss = self._reconstruction_loss(jax.lax.stop_gradient(z_BxD), target_BxHxWxC, valid_B)
        return loss, {"loss": loss, "reconstruction": loss}

    def prior(self, n: int, frequency_D: Array) -> Array:
        """n codes from the prior, which has its own frequencies, with exact zeros for the spike."""
        return self._draw(self.make_rng("latent"), (n, self.latent_dim), 0.0)

    def _draw(self, key: Array, shape: tuple[int, int], width: ArrayLike) -> Array:
        """Codes from the prior with spikes of that width."""
        slab_key, value_key = jax.random.split(key)
        is_slab_BxD = jax.random.bernoulli(slab_key, self._alpha, shape)
        return jax.random.normal(value_key, shape, jnp.float32) * jnp.where(is_slab_BxD, 1.0, width)

    def _error(self, x_BxHxWxC: Array) -> Callable[[Array], Array]:
        """The batch's summed error as a function of z that jax may transform."""
        decoder, variables = self.decoder.unbind()
        held = jax.lax.stop_gradient(variables)
        error_of, x_BxHxWxC = self.rule.term, self.standardized(x_BxHxWxC)

        def error(z_BxD: Array) -> Array:
            logits_BxHxWxC = jnp.asarray(decoder.apply(held, z_BxD))
            return jnp.sum(error_of(logits_BxHxWxC, x_BxHxWxC, "sum"))

        return error

    def _width(self, progress: ArrayLike) -> Array:
        return jnp.power(self.spike_width, jnp.minimum(1.0, progress / SHRINKING))

    def _temperature(self, progress: ArrayLike) -> Array:
        pixels = math.prod(self.image_shape) if self.pixel_reduction == "mean" else 1
        latents = self.latent_dim if self.latent_reduction == "mean" else 1
        return jnp.asarray(self._warmed_up_beta(progress) * (pixels / latents))

    @property
    def _alpha(self) -> float:
        return min(self.k / self.latent_dim, 1.0 - MARGIN)


def slab_probability(z_BxD: Array, alpha: float, width: ArrayLike) -> Array:
    """How probable it is that an entry comes from the slab rather than the spike, given its value.

        alpha N(z; 0, 1) / (alpha N(z; 0, 1) + (1 - alpha) N(z; 0, width^2))

    Examples:
        >>> [round(p, 3) for p in slab_probability(jnp.array([0.0, 1.0]), 0.5, 0.1).tolist()]
        [0.091, 1.0]
    """
    odds_BxD = math.log(alpha / (1.0 - alpha)) + jnp.log(width)
    return jax.nn.sigmoid(odds_BxD + 0.5 * jnp.square(z_BxD) * (1.0 / jnp.square(width) - 1.0))
