"""Variational sparse coding with a learnt threshold: noise that stays below it switches off."""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Annotated, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from annotated_types import Ge
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.divergences import normal_kl
from vae_topk_jax.fields import OneOf
from vae_topk_jax.models.generator import Generator
from vae_topk_jax.models.system import check_k
from vae_topk_jax.networks import BODIES
from vae_topk_jax.selection import apply_mask

# Shape of the Gamma prior of thresholds.
SHAPE = 2.0
# How near to 1 the prior's probability of an active entry may come.
MARGIN = 1e-3
# How far logarithms of scales, shapes and rates may be from where they start.
REACH = 4.0
# Where they start: little noise, and thresholds that most of it exceeds, so that at first images
# are learnt with most latents active. (From the prior on, 8 of 64 random entries would be.)
START_LOGSCALE, START_LOGRATE = -1.5, 3.0


class Noise(NamedTuple):
    """A distribution of mean 0 and scale 1 that is the same for n and -n.

    Attributes:
        draw: (key, shape, dtype) -> noise.
        exceeds: size -> the probability that |n| is larger.
        size: the inverse of `exceeds`, of a number.
        kl: (mu_BxD, logscale_BxD) -> kl_BxD of mu + exp(logscale) n to n, in nats.
    """

    draw: Callable[..., Array]
    exceeds: Callable[[Array], Array]
    size: Callable[[float], float]
    kl: Callable[[Array, Array], Array]


def _laplace_kl(mu_BxD: Array, logscale_BxD: Array) -> Array:
    size_BxD, scale_BxD = jnp.abs(mu_BxD), jnp.exp(logscale_BxD)
    return size_BxD + scale_BxD * jnp.exp(-size_BxD / scale_BxD) - logscale_BxD - 1.0


NOISES = {
    "laplace": Noise(
        jax.random.laplace, lambda size: jnp.exp(-size), lambda p: -math.log(p), _laplace_kl
    ),
    "gaussian": Noise(
        jax.random.normal,
        lambda size: jax.lax.erfc(size * math.sqrt(0.5)),
        lambda p: NormalDist().inv_cdf(1.0 - 0.5 * p),
        lambda mu_BxD, logscale_BxD: normal_kl(mu_BxD, 2.0 * logscale_BxD),
    ),
}


class Thresholded(NamedTuple):
    """Entries mu + n - sign(n) t where |n| > t, and zero elsewhere: n is noise, t a threshold.

    Attributes:
        mu_BxD: the value of an active entry, on average.
        logscale_BxD: of the noise.
        logshape_BxD, lograte_BxD: of the threshold, Gamma(shape, rate).
    """

    mu_BxD: Array
    logscale_BxD: Array
    logshape_BxD: Array
    lograte_BxD: Array

    def threshold(self) -> Array:
        """The mean of the thresholds, t_BxD."""
        return jnp.exp(self.logshape_BxD - self.lograte_BxD)

    def drawn_threshold(self, key: Array) -> Array:
        """A draw of the thresholds, t_BxD."""
        shape_BxD = jnp.exp(self.logshape_BxD)
        return jax.random.gamma(key, shape_BxD, dtype=jnp.float32) * jnp.exp(-self.lograte_BxD)

    def active(self, threshold_BxD: Array, noise: Noise) -> Array:
        """The probability that the noise exceeds a threshold, p_BxD."""
        return noise.exceeds(threshold_BxD * jnp.exp(-self.logscale_BxD))

    def code(self, noise: Noise) -> Array:
        """mu where an entry is more likely active than not, exact zero elsewhere."""
        return apply_mask(self.mu_BxD, self.active(self.threshold(), noise) >= 0.5)

    def sample(self, key: Array, threshold_BxD: Array, noise: Noise) -> Array:
        """A draw given the thresholds, with exact zeros.

        To differentiation an entry is its value times the probability that it is active, so that
        scale and threshold learn from the entries that are not as well.
        """
        n_BxD = noise.draw(key, self.mu_BxD.shape, jnp.float32) * jnp.exp(self.logscale_BxD)
        excess_BxD = jnp.abs(n_BxD) - threshold_BxD
        value_BxD = self.mu_BxD + jnp.sign(n_BxD) * nn.relu(excess_BxD)
        p_BxD = self.active(threshold_BxD, noise)
        slope_BxD = p_BxD - jax.lax.stop_gradient(p_BxD)  # zero, with a gradient
        return apply_mask(value_BxD, excess_BxD > 0) + jax.lax.stop_gradient(value_BxD) * slope_BxD

    def threshold_kl(self, mean: float) -> Array:
        """kl_BxD of the thresholds to Gamma(2, 2 / mean), in nats."""
        shape_BxD = jnp.exp(self.logshape_BxD)
        further_BxD = math.log(SHAPE / mean) - self.lograte_BxD
        return (
            (shape_BxD - SHAPE) * jax.scipy.special.digamma(shape_BxD)
            - jax.scipy.special.gammaln(shape_BxD)
            + math.lgamma(SHAPE)
            - SHAPE * further_BxD
            + shape_BxD * (jnp.exp(further_BxD) - 1.0)
        )


class LearnedThreshold(Generator):
    """A VAE whose latents are active where their noise exceeds a threshold.

        n ~ Laplace(0, b),    t ~ Gamma(a, r),    (mu, b, a, r) = encoder(x)
        z = mu + n - sign(n) t  where |n| > t,    0  elsewhere
        loss = reconstruction(decoder(z), x)
               + beta (KL(Laplace(mu, b) || Laplace(0, 1)) + KL(Gamma(a, r) || Gamma(2, 2 / t_0)))

    The noise can be Gaussian as well. Its soft threshold is shifted by mu, so that the size of an
    entry is free of it, and how often it is active, exp(-t / b) or erfc(t / (b sqrt 2)), is learnt
    for each image. t_0 is the threshold that noise of scale 1 exceeds with probability k / D. The
    KL is that before the threshold. At inference an entry is active, with the value mu, where it is
    more likely active than not; how many are depends on beta as well as on k.

    The authors let the slope of mu + n through the threshold, and of several draws keep the one of
    the smallest loss. Here there is one draw, and what is let through is the probability that an
    entry is active, times its value: with the slope of mu + n, one draw says nothing of which
    latents an image needs.

    Examples:
        >>> noises = ("laplace", "gaussian")
        >>> [round(LearnedThreshold(noise=x, k=8).prior_threshold, 2) for x in noises]
        [2.08, 1.53]

    References:
        Fallah & Rozell, "Variational Sparse Coding with Learned Thresholding", ICML 2022 (the
        model). Bengio, Leonard & Courville, "Estimating or Propagating Gradients Through Stochastic
        Neurons for Conditional Computation", 2013 (the gradient of a gate).
    """

    k: Annotated[int, Ge(1)] = 8
    """K, how many latents are active under the prior, at the mean of its thresholds."""
    noise: Annotated[str, OneOf(NOISES)] = "laplace"
    """Which noise the latents have."""
    threshold: Literal["inferred", "fixed"] = "inferred"
    """What the noise must exceed: a threshold that the encoder infers for each latent of an image,
    under a Gamma prior, or that of the prior's mean for all."""

    def check(self) -> None:
        super().check()
        check_k(self.k, self.latent_dim)

    @property
    def summary(self) -> str:
        return f"K = {self.k} of {self.latent_dim} under the prior, {self.noise} noise"

    @property
    def prior_threshold(self) -> float:
        """t_0, which noise of scale 1 exceeds with probability k / D."""
        return NOISES[self.noise].size(min(self.k / self.latent_dim, 1.0 - MARGIN))

    def setup(self) -> None:
        super().setup()
        self.encoder = BODIES[self.body][0](self.widths, self.dtype)
        self.mu_head = nn.Dense(self.latent_dim, dtype=self.dtype)
        zeros = nn.initializers.zeros
        self.scale_head = nn.Dense(self.latent_dim, dtype=self.dtype, kernel_init=zeros)
        if self.threshold == "inferred":
            self.threshold_head = nn.Dense(2 * self.latent_dim, dtype=self.dtype, kernel_init=zeros)

    def inferred(self, x_BxHxWxC: Array) -> Thresholded:
        """q(z|x)."""
        h_BxF = self.encoder(self.standardized(x_BxHxWxC))
        mu_BxD = self.mu_head(h_BxF).astype(jnp.float32)
        logscale_BxD = START_LOGSCALE + _bounded(self.scale_head(h_BxF))
        logshape_BxD = jnp.full_like(mu_BxD, math.log(SHAPE))
        lograte_BxD = jnp.full_like(mu_BxD, math.log(SHAPE / self.prior_threshold))
        if self.threshold == "inferred":
            shape_BxD, rate_BxD = jnp.split(_bounded(self.threshold_head(h_BxF)), 2, axis=-1)
            logshape_BxD += shape_BxD
            lograte_BxD += START_LOGRATE + rate_BxD
        return Thresholded(mu_BxD, logscale_BxD, logshape_BxD, lograte_BxD)

    def divergence(self, posterior: Thresholded) -> Array:
        """The KL term of each example, kl_B."""
        kl_BxD = NOISES[self.noise].kl(posterior.mu_BxD, posterior.logscale_BxD)
        if self.threshold == "inferred":
            kl_BxD += posterior.threshold_kl(self.prior_threshold)
        reduce = jnp.mean if self.latent_reduction == "mean" else jnp.sum
        return reduce(kl_BxD, axis=1)

    def encode(
        self, x_BxHxWxC: Array, *, sample: bool = False, use_running_average: bool = True
    ) -> Array:
        posterior = self.inferred(x_BxHxWxC)
        return self._sample(posterior) if sample else posterior.code(NOISES[self.noise])

    def loss(
        self,
        x_BxHxWxC: Array,
        target_BxHxWxC: Array,
        valid_B: Array | None = None,
        *,
        train: bool,
        progress: ArrayLike = 1.0,
    ) -> tuple[Array, dict[str, Array]]:
        """See `System.loss`; the terms have "kl", without its beta."""
        posterior = self.inferred(x_BxHxWxC)
        z_BxD = self._sample(posterior) if train else posterior.code(NOISES[self.noise])
        kl_B = self.divergence(posterior)
        terms = self._bound(z_BxD, kl_B, target_BxHxWxC, valid_B, progress)
        return terms["loss"], terms

    def prior(self, n: int, frequency_D: Array) -> Array:
        """n codes from the prior, which has its own frequencies."""
        zeros_NxD = jnp.zeros((n, self.latent_dim), jnp.float32)
        logshape_NxD = jnp.full_like(zeros_NxD, math.log(SHAPE))
        lograte_NxD = jnp.full_like(zeros_NxD, math.log(SHAPE / self.prior_threshold))
        return self._sample(Thresholded(zeros_NxD, zeros_NxD, logshape_NxD, lograte_NxD))

    def _sample(self, posterior: Thresholded) -> Array:
        threshold_key, noise_key = jax.random.split(self.make_rng("latent"))
        threshold_BxD = posterior.threshold()
        if self.threshold == "inferred":
            threshold_BxD = posterior.drawn_threshold(threshold_key)
        return posterior.sample(noise_key, threshold_BxD, NOISES[self.noise])


def _bounded(raw_BxD: Array) -> Array:
    """The head's output in float32, from -4 to 4."""
    return REACH * jnp.tanh(raw_BxD.astype(jnp.float32) / REACH)
