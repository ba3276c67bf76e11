"""Sparse codes one group after the other: which latent is active, then its value."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.priors.analog_bits import active_scale
from vae_topk_jax.priors.optimise import minimise
from vae_topk_jax.priors.prior import Examples, Prior
from vae_topk_jax.priors.residual import blocks_in, residual_blocks
from vae_topk_jax.priors.supports import slots_of

_LEAST_LOG_STD = -5.0  # of a component, beside the standard deviation of its latent


class Conditional(NamedTuple):
    """p(s_g, z_g | z_<g) of R groups, each for B codes.

    Attributes:
        logit_RxBxO: of which latent of the group is active; the last option is none of them.
        mixture_RxBxSx3xC: logits, means and logarithms of standard deviations of the components of
            each latent's value.
    """

    logit_RxBxO: Array
    mixture_RxBxSx3xC: Array

    def log_likelihood(self, value_RxBxS: Array, active_RxBxS: Array) -> Array:
        """log p_RxB of values and of which of them are active, one at most."""
        none_RxBx1 = 1.0 - jnp.sum(active_RxBxS, axis=-1, keepdims=True)
        option_RxBxO = jnp.concatenate([active_RxBxS, none_RxBx1], axis=-1)
        choice_RxB = jnp.sum(option_RxBxO * jax.nn.log_softmax(self.logit_RxBxO), axis=-1)
        logit, mean, log_std = self._components()
        z = (value_RxBxS[..., None] - mean) * jnp.exp(-log_std)
        log_density = -0.5 * (jnp.square(z) + math.log(2.0 * math.pi)) - log_std
        value_RxBxS = jax.nn.logsumexp(jax.nn.log_softmax(logit) + log_density, axis=-1)
        return choice_RxB + jnp.sum(active_RxBxS * value_RxBxS, axis=-1)

    def sample(self, key: Array) -> tuple[Array, Array]:
        """value_RxBxS and active_RxBxS; values of what is not active are 0."""
        option_key, component_key, eps_key = jax.random.split(key, 3)
        option_RxB = jax.random.categorical(option_key, self.logit_RxBxO)
        size = self.mixture_RxBxSx3xC.shape[2]
        active_RxBxS = jax.nn.one_hot(option_RxB, size + 1, dtype=jnp.float32)[..., :size]
        logit, *moments = self._components()
        chosen = jax.random.categorical(component_key, logit)[..., None]
        mean_RxBxS, log_std_RxBxS = (
            jnp.take_along_axis(x, chosen, axis=-1)[..., 0] for x in moments
        )
        eps_RxBxS = jax.random.normal(eps_key, mean_RxBxS.shape, jnp.float32)
        return active_RxBxS * (mean_RxBxS + jnp.exp(log_std_RxBxS) * eps_RxBxS), active_RxBxS

    def _components(self) -> tuple[Array, Array, Array]:
        logit, mean, log_std = (self.mixture_RxBxSx3xC[..., i, :] for i in range(3))
        return logit, mean, jnp.maximum(log_std, _LEAST_LOG_STD)


class ConditionalNetwork(nn.Module):
    """The conditionals of R groups. One residual network takes the latents of the groups before a
    group, the group's number and the class; each group has a last layer of its own.

    Attributes:
        width: of the network.
        blocks: of the network, see `residual_blocks`.
        components: C, of the mixture of a value.
        classes: how many there are.
    """

    width: int
    blocks: int
    components: int
    classes: int

    @nn.compact
    def __call__(
        self,
        value_RxBxD: Array,
        active_RxBxD: Array,
        class_RxB: Array,
        group_R: Array,
        allowed_GxO: Array,
    ) -> Conditional:
        groups, options = allowed_GxO.shape
        size = options - 1
        group_D = jnp.arange(groups * size, dtype=jnp.int32) // size
        known_Rx1xD = (group_D[None] < group_R[:, None])[:, None].astype(jnp.float32)
        x_RxBxF = jnp.concatenate([known_Rx1xD * value_RxBxD, known_Rx1xD * active_RxBxD], axis=-1)
        h_RxBxH = nn.Dense(self.width)(x_RxBxF)
        h_RxBxH += nn.Embed(groups, self.width)(group_R)[:, None]
        if self.classes > 1:
            h_RxBxH += nn.Embed(self.classes, self.width)(class_RxB)
        h_RxBxH = residual_blocks(h_RxBxH, self.blocks)
        outputs = options + size * 3 * self.components
        kernel = self.param(
            "kernel", nn.initializers.normal(0.01), (groups, self.width, outputs), jnp.float32
        )
        bias = self.param("bias", nn.initializers.normal(0.5), (groups, outputs), jnp.float32)
        output_RxBxQ = h_RxBxH @ kernel[group_R] + bias[group_R][:, None]
        logit_RxBxO, mixture_RxBxM = jnp.split(output_RxBxQ, [options], axis=-1)
        allowed_Rx1xO = allowed_GxO[group_R][:, None]
        return Conditional(
            jnp.where(allowed_Rx1xO, logit_RxBxO, jnp.finfo(jnp.float32).min),
            mixture_RxBxM.reshape(*mixture_RxBxM.shape[:2], size, 3, self.components),
        )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Autoregressive(Prior):
    """A likelihood of latents group by group, which is drawn from in that order.

        p(z | y) = prod_g p(s_g | z_<g, y) p(z_g | s_g, z_<g, y)

    y is the class, if there are any. s_g says which latent of group g is active, and its value has
    a mixture of Gaussians. By slot the groups are the slots; elsewhere each latent is a group of
    its own, which may be inactive. What no example has in a group, such as none of its latents, is
    never drawn.

    What is drawn goes through the mask of the model (`Inference.sparsify`), as the examples did.

    Attributes:
        mean_D, std_D: of each latent's active entries.
        allowed_GxO: which options some example has: each of a group's latents, or none.
        share_Y: how often each class is drawn.
        params: of `ConditionalNetwork`.

    References:
        Uria, Murray & Larochelle, "RNADE: The Real-Valued Neural Autoregressive Density-Estimator",
        NeurIPS 2013 (mixtures); "A Deep and Tractable Density Estimator", ICML 2014 (one network
        for all conditionals). van den Oord, Vinyals & Kavukcuoglu, "Neural Discrete Representation
        Learning", NeurIPS 2017 (an autoregressive prior fitted to discrete codes after training).
    """

    before_mask: ClassVar[bool] = True

    mean_D: Array
    std_D: Array
    allowed_GxO: Array
    share_Y: Array
    params: Mapping[str, Any]

    def shares(self) -> Array:
        """share_Y."""
        return self.share_Y

    @classmethod
    def fit(
        cls,
        examples: Examples,
        key: Array,
        *,
        components: int = 8,
        width: int = 256,
        blocks: int = 3,
        steps: int = 60_000,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
    ) -> Self:
        """The conditionals of the latents, by maximum likelihood.

        Args:
            examples: the latents.
            key: of initial weights, batches and groups.
            components: of the mixture of a value.
            width, blocks: of the network, see `ConditionalNetwork`.
            steps, batch_size, learning_rate: of training. An example trains one conditional, and
                each has equally many, so that a batch may be smaller; where there are more groups
                than `batch_size`, a batch trains that many of them.
        """
        z_NxD = examples.latents_NxD
        active_NxD = z_NxD != 0
        latents = z_NxD.shape[1]
        groups = slots_of(active_NxD) or latents
        grouped_NxGxS = active_NxD.reshape(len(z_NxD), groups, -1)
        allowed_GxO = jnp.concatenate(
            [grouped_NxGxS.any(0), ~grouped_NxGxS.any(2).all(0)[:, None]], axis=1
        )
        mean_D, std_D = active_scale(z_NxD)
        value_NxD = np.where(active_NxD, (z_NxD - mean_D) / std_D, 0.0).astype(np.float32)
        at_once = min(groups, batch_size)
        each = batch_size // at_once
        network = ConditionalNetwork(width, blocks, components, examples.classes)
        init_key, train_key = jax.random.split(key)
        row_1x1xD = jnp.zeros((1, 1, latents), jnp.float32)
        class_1x1 = jnp.zeros((1, 1), jnp.int32)
        first = network.init(init_key, row_1x1xD, row_1x1xD, class_1x1, class_1x1[0], allowed_GxO)

        def loss(params: Any, batch: tuple[Array, Array, Array], key: Array) -> Array:
            value, active = (
                jnp.asarray(x, jnp.float32).reshape(at_once, each, latents) for x in batch[:2]
            )
            class_RxB = batch[2].reshape(at_once, each)
            group_R = jax.random.permutation(key, jnp.arange(groups, dtype=jnp.int32))[:at_once]
            conditional = network.apply(params, value, active, class_RxB, group_R, allowed_GxO)
            assert isinstance(conditional, Conditional)
            own = (_group(x, group_R, groups) for x in (value, active))
            return -groups * jnp.mean(conditional.log_likelihood(*own))

        params = minimise(
            loss,
            first,
            (value_NxD, active_NxD, examples.class_N),
            train_key,
            steps=steps,
            batch_size=at_once * each,
            learning_rate=learning_rate,
        )
        return cls(
            jnp.asarray(mean_D, jnp.float32),
            jnp.asarray(std_D, jnp.float32),
            allowed_GxO,
            jnp.asarray(examples.share_Y, jnp.float32),
            params,
        )

    def sample(self, key: Array, class_N: Array) -> Array:
        """Latents, group after group."""
        network, groups = self._network(), len(self.allowed_GxO)
        size = self.allowed_GxO.shape[1] - 1

        def step(carry: tuple[Array, Array], given: tuple[Array, Array]) -> tuple[Any, None]:
            group, key = given
            shown = (x_NxD[None] for x_NxD in carry)
            conditional = network.apply(
                self.params, *shown, class_N[None], group[None], self.allowed_GxO
            )
            assert isinstance(conditional, Conditional)
            pairs = zip(carry, conditional.sample(key), strict=True)
            start = (jnp.int32(0), group * size)
            return tuple(jax.lax.dynamic_update_slice(x, new[0], start) for x, new in pairs), None

        empty_NxD = jnp.zeros((len(class_N), len(self.mean_D)), jnp.float32)
        keys_G = jax.random.split(key, groups)
        numbers_G = jnp.arange(groups, dtype=jnp.int32)
        (value_NxD, active_NxD), _ = jax.lax.scan(step, (empty_NxD, empty_NxD), (numbers_G, keys_G))
        z_NxD = self.mean_D[None] + self.std_D[None] * value_NxD
        return jnp.where(active_NxD > 0, z_NxD, 0.0)

    def _network(self) -> ConditionalNetwork:
        """The network whose parameters these are."""
        params, options = self.params["params"], self.allowed_GxO.shape[1]
        _, width, outputs = params["kernel"].shape
        components = (outputs - options) // (3 * (options - 1))
        return ConditionalNetwork(width, blocks_in(params), components, len(self.share_Y))


def _group(x_RxBxD: Array, group_R: Array, groups: int) -> Array:
    """x_RxBxS, the latents of a group in each row."""
    x_RxBxGxS = x_RxBxD.reshape(*x_RxBxD.shape[:2], groups, -1)
    return jnp.take_along_axis(x_RxBxGxS, group_R[:, None, None, None], axis=2)[:, :, 0]
