"""Variational Sparse Coding."""

import functools
from typing import Annotated, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from annotated_types import Ge, Interval
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.losses import spike_and_slab_kl
from vae_topk_jax.models.generator import Generator
from vae_topk_jax.models.system import check_k
from vae_topk_jax.networks import BODIES
from vae_topk_jax.priors.independent import sample_spike_and_slab
from vae_topk_jax.selection import apply_mask

# How steep the relaxed spike is at the start and at the end of a run.
STEEPNESS = (50.0, 200.0)
# How near to 0 and 1 the prior's probability of an active entry may come.
MARGIN = 1e-3

_kl = functools.partial(spike_and_slab_kl, exact=False)


class SpikeAndSlab(NamedTuple):
    """Entries that are N(mu, exp(logvar)) with probability gate, and zero otherwise.

    Attributes:
        mu_BxD, logvar_BxD: of the slab.
        gate_BxD: in [0, 1].
    """

    mu_BxD: Array
    logvar_BxD: Array
    gate_BxD: Array

    def code(self) -> Array:
        """mu where an entry is more likely active than not, exact zero elsewhere.

        Examples:
            >>> gate_BxD = jnp.array([[0.5, 0.4]])
            >>> SpikeAndSlab(jnp.full((1, 2), 3.0), jnp.zeros((1, 2)), gate_BxD).code().tolist()
            [[3.0, 0.0]]
        """
        return apply_mask(self.mu_BxD, self.gate_BxD >= 0.5)

    def sample(self, key: Array) -> Array:
        """A draw, with exact zeros."""
        return sample_spike_and_slab(
            key, self.gate_BxD, self.mu_BxD, jnp.exp(0.5 * self.logvar_BxD)
        )

    def relaxed_sample(self, key: Array, steepness: ArrayLike) -> Array:
        """A draw that is differentiable: zeros and ones of the spike become a steep sigmoid S.

        S(c (eta - 1 + gate)) (mu + sigma eps),    eta ~ U(0, 1),    eps ~ N(0, 1)
        """
        spike_key, slab_key = jax.random.split(key)
        eta_BxD = jax.random.uniform(spike_key, self.mu_BxD.shape, jnp.float32)
        spike_BxD = jax.nn.sigmoid(steepness * (eta_BxD - 1.0 + self.gate_BxD))
        eps_BxD = jax.random.normal(slab_key, self.mu_BxD.shape, jnp.float32)
        return spike_BxD * (self.mu_BxD + jnp.exp(0.5 * self.logvar_BxD) * eps_BxD)


class VSC(Generator):
    """A VAE with a spike and a slab in posterior and prior.

        log gate = -ReLU(-v),    (mu, logvar, v) = lambda, lambda, 1 times the heads of encoder(x)
        z = S(c (eta - 1 + gate)) (mu + exp(logvar / 2) eps)
        loss = reconstruction(decoder(z), x) + beta KL

    With a fixed prior, the KL is `losses.spike_and_slab_kl` to N(0, 1) slabs and alpha = k / D.
    With pseudo-inputs x_u, the prior of an image is the posterior of one of them, which a selector
    chooses with weights w_u(x) that sum to 1, and the prior as a whole is held to alpha:

        KL = sum_u w_u KL(q(z|x) || q(z|x_u)) + D KL(Bernoulli(mean_ud w_u gate_ud) || alpha)

    During training c rises from 50 to 200, and lambda from 0 to 1, so that at first only the spikes
    of an image distinguish it. At inference an entry is active, with the value mu, where its gate
    is 0.5 or more; how many are depends on beta as well as on k.

    The weighted sum is no less than the KL to the mixture of the pseudo-inputs' posteriors. It is
    the authors' code, but for the selector, there a layer of sigmoids over their sum, here a
    softmax; for the slabs of the KL, which lambda scales here as well, so that the loss is a bound
    throughout; and for gates of exactly 1, which get a gradient that closes them (see `log_gate`).

    Examples:
        >>> model = VSC(image_shape=(28, 28, 1), latent_dim=64, k=8)
        >>> x = jax.random.uniform(jax.random.key(0), (4, 28, 28, 1))
        >>> variables = model.init(jax.random.key(1), x)
        >>> model.apply(variables, x, method="posterior").gate_BxD.shape
        (4, 64)

    References:
        Tonolini, Jensen & Murray-Smith, "Variational Sparse Coding", UAI 2019 (pseudo-inputs); the
        preprint of 2018 (fixed prior).
    """

    k: Annotated[int, Ge(1)] = 8
    """alpha D, how many latents the prior expects to be active."""
    vsc_prior: Literal["pseudo_inputs", "fixed"] = "pseudo_inputs"
    """What the prior is: the encodings of trainable inputs, one chosen for each image, or fixed,
    with N(0, 1) slabs."""
    pseudo_inputs: Annotated[int, Ge(1)] = 10
    """How many trainable inputs the prior has."""
    slab_warmup: Annotated[float, Interval(ge=0, le=1)] = 0.2
    """Fraction of training after which slabs have means and variances of their own; for its first
    half they are N(0, 1), so that spikes are learnt first."""

    def check(self) -> None:
        super().check()
        check_k(self.k, self.latent_dim)

    def setup(self) -> None:
        super().setup()
        self.encoder = BODIES[self.body][0](self.widths, self.dtype)
        self.mu_head = nn.Dense(self.latent_dim, dtype=self.dtype)
        self.logvar_head = nn.Dense(self.latent_dim, dtype=self.dtype)
        self.gate_head = nn.Dense(self.latent_dim, dtype=self.dtype)
        if self.vsc_prior == "pseudo_inputs":
            shape = (self.pseudo_inputs, *self.image_shape)
            like_inputs = nn.initializers.uniform if self.input_range else nn.initializers.normal
            self.pseudo_UxHxWxC = self.param("pseudo_UxHxWxC", like_inputs(1.0), shape, jnp.float32)
            self.selector = nn.Dense(self.pseudo_inputs, dtype=self.dtype)

    def posterior(self, x_BxHxWxC: Array, progress: ArrayLike = 1.0) -> SpikeAndSlab:
        """q(z|x), with the lambda of that progress."""
        return self._encoded(self.standardized(x_BxHxWxC), progress)

    def _encoded(self, x_BxHxWxC: Array, progress: ArrayLike = 1.0) -> SpikeAndSlab:
        """q(z|x) of inputs that are standardised, as the pseudo-inputs are."""
        h_BxF = self.encoder(x_BxHxWxC)
        ramp = 2.0 * progress / self.slab_warmup - 1.0 if self.slab_warmup else 1.0
        risen = jnp.clip(ramp, 0.0, 1.0)
        return SpikeAndSlab(
            risen * self.mu_head(h_BxF).astype(jnp.float32),
            risen * self.logvar_head(h_BxF).astype(jnp.float32),
            jnp.exp(log_gate(self.gate_head(h_BxF).astype(jnp.float32))),
        )

    def selection(self, x_BxHxWxC: Array) -> Array:
        """w_BxU: which pseudo-input's posterior is the prior of each image."""
        x_BxP = self.standardized(x_BxHxWxC).reshape(x_BxHxWxC.shape[0], -1)
        return nn.softmax(self.selector(x_BxP).astype(jnp.float32))

    def divergence(
        self, posterior: SpikeAndSlab, x_BxHxWxC: Array, progress: ArrayLike = 1.0
    ) -> Array:
        """The KL term of each example, kl_B."""
        if self.vsc_prior == "fixed":
            return _kl(*posterior, self._alpha, self.latent_reduction)
        pseudo = self._encoded(self.pseudo_UxHxWxC, progress)
        rate_UxD = jnp.clip(pseudo.gate_BxD, MARGIN, 1.0 - MARGIN)
        mu_BxD, logvar_BxD, gate_BxD = posterior

        def kl_to(mu_D: Array, logvar_D: Array, rate_D: Array) -> Array:
            scaled_BxD = (mu_BxD - mu_D[None]) * jnp.exp(-0.5 * logvar_D)[None]
            ratio_BxD = logvar_BxD - logvar_D[None]
            return _kl(scaled_BxD, ratio_BxD, gate_BxD, rate_D[None], self.latent_reduction)

        weight_BxU = self.selection(x_BxHxWxC)
        kl_UxB = jax.vmap(kl_to)(pseudo.mu_BxD, pseudo.logvar_BxD, rate_UxD)
        kl_B = jnp.sum(weight_BxU.T * kl_UxB, axis=0)
        active_B = jnp.mean(weight_BxU @ rate_UxD, axis=1)
        active_BxD = jnp.broadcast_to(active_B[:, None], gate_BxD.shape)
        zeros_BxD = jnp.zeros_like(gate_BxD)
        return kl_B + _kl(zeros_BxD, zeros_BxD, active_BxD, self._alpha, self.latent_reduction)

    def encode(
        self, x_BxHxWxC: Array, *, sample: bool = False, use_running_average: bool = True
    ) -> Array:
        posterior = self.posterior(x_BxHxWxC)
        if self.is_initializing():
            self.divergence(posterior, x_BxHxWxC)
        return posterior.sample(self.make_rng("latent")) if sample else posterior.code()

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
        reached = progress if train else 1.0
        posterior = self.posterior(x_BxHxWxC, reached)
        if train:
            first, last = STEEPNESS
            steepness = first + (last - first) * reached
            z_BxD = posterior.relaxed_sample(self.make_rng("latent"), steepness)
        else:
            z_BxD = posterior.code()
        kl_B = self.divergence(posterior, x_BxHxWxC, reached)
        terms = self._bound(z_BxD, kl_B, target_BxHxWxC, valid_B, progress)
        return terms["loss"], terms

    def prior(self, n: int, frequency_D: Array) -> Array:
        """n codes from the prior, which has its own frequencies; pseudo-inputs count alike."""
        choice_key, code_key = jax.random.split(self.make_rng("latent"))
        if self.vsc_prior == "fixed":
            return sample_spike_and_slab(
                code_key, jnp.full((n, self.latent_dim), self._alpha, jnp.float32)
            )
        chosen_N = jax.random.randint(choice_key, (n,), 0, self.pseudo_inputs)
        pseudo = self._encoded(self.pseudo_UxHxWxC)
        return SpikeAndSlab(*(value_UxD[chosen_N] for value_UxD in pseudo)).sample(code_key)

    @property
    def _alpha(self) -> float:
        return min(self.k / self.latent_dim, 1.0 - MARGIN)


@jax.custom_vjp
def log_gate(v_BxD: Array) -> Array:
    """-ReLU(-v), whose gradient, where v is above 0, is let through if it lowers v.

    An entry whose gate is 1 for every image would otherwise stay open for ever: it has no gradient
    of its own, and the KL presses on it in vain.

    Examples:
        >>> jax.grad(lambda v: log_gate(v).sum())(jnp.array([-1.0, 1.0])).tolist()
        [1.0, 1.0]
        >>> jax.grad(lambda v: -log_gate(v).sum())(jnp.array([-1.0, 1.0])).tolist()
        [-1.0, 0.0]
    """
    return -nn.relu(-v_BxD)


def _log_gate_forward(v_BxD: Array) -> tuple[Array, Array]:
    return log_gate(v_BxD), v_BxD


def _log_gate_backward(v_BxD: Array, slope_BxD: Array) -> tuple[Array]:
    return (jnp.where((v_BxD < 0) | (slope_BxD > 0), slope_BxD, 0.0),)


log_gate.defvjp(_log_gate_forward, _log_gate_backward)
