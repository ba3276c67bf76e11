"""A mixture of pseudo-codes, each with a support of its own."""

import dataclasses
from typing import NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.priors.analog_bits import active_scale
from vae_topk_jax.priors.prior import Examples, Prior, choose
from vae_topk_jax.selection import apply_mask

_CHUNK = 4096  # codes whose responsibilities are in memory at a time
_NARROWEST = 1e-3  # width over the standard deviation of a latent


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Vamp(Prior):
    """A VampPrior of sparse pseudo-codes, fitted to codes after training.

        p(z) = sum_m w_m prod_d p(z_d | m),    z_d = 0 where pseudo-code m is 0,
        z_d ~ N(c_md, width_d^2) elsewhere

    Supports are those of codes chosen at random; values, weights and widths are learnt by EM. For
    EM alone, an entry may be active against its pseudo-code, or not, at a small rate, which is
    learnt too: few codes have exactly the support of another. Classes have weights of their own.

    Attributes:
        codes_MxD: the pseudo-codes.
        share_YxM: the probability of each class and pseudo-code.
        width_D: of the values, one for each latent.

    Examples:
        >>> from vae_topk_jax.priors.prior import draw
        >>> examples = Examples.of([[1.0, 0.0], [0.0, 2.0], [1.1, 0.0], [0.0, 2.1]])
        >>> prior = Vamp.fit(examples, jax.random.key(0), pseudo_codes=4)
        >>> sorted(set(map(tuple, (draw(prior, jax.random.key(1), 99) != 0).tolist())))
        [(False, True), (True, False)]

    References:
        Tomczak & Welling, "VAE with a VampPrior", AISTATS 2018, where pseudo-inputs are learnt with
        the model.
    """

    codes_MxD: Array
    share_YxM: Array
    width_D: Array

    def shares(self) -> Array:
        """share_Y."""
        return jnp.sum(self.share_YxM, axis=1)

    @classmethod
    def fit(
        cls, examples: Examples, key: Array, *, pseudo_codes: int = 1000, rounds: int = 20
    ) -> Self:
        """The pseudo-codes of the codes.

        Args:
            examples: the codes.
            key: chooses those whose supports the pseudo-codes have.
            pseudo_codes: M, as many as there are codes at most.
            rounds: of EM.

        Raises:
            ValueError: `pseudo_codes` or `rounds` below 1.
        """
        for name, value in (("pseudo_codes", pseudo_codes), ("rounds", rounds)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        codes_NxD = examples.codes_NxD
        order_N = np.asarray(jax.random.permutation(key, len(codes_NxD)))
        current = _Pseudo.start(examples, codes_NxD[order_N[:pseudo_codes]])
        for _ in range(rounds):
            current = current.improved(examples)
        arrays = (current.codes_MxD, current.share_YxM, current.width_D)
        return cls(*(jnp.asarray(x, jnp.float32) for x in arrays))

    def sample(self, key: Array, class_N: Array) -> Array:
        """Codes, each with the support of a pseudo-code."""
        choice_key, eps_key = jax.random.split(key)
        centre_NxD = self.codes_MxD[choose(choice_key, self.share_YxM, class_N)]
        eps_NxD = jax.random.normal(eps_key, centre_NxD.shape, jnp.float32)
        return apply_mask(centre_NxD + self.width_D[None] * eps_NxD, centre_NxD != 0)


class _Pseudo(NamedTuple):
    """The state of EM: what `Vamp` has, and what only the likelihood needs."""

    codes_MxD: np.ndarray
    share_YxM: np.ndarray
    width_D: np.ndarray
    rate: float  # of entries that are active against their pseudo-code, or not
    mean_D: np.ndarray
    std_D: np.ndarray

    @classmethod
    def start(cls, examples: Examples, codes_MxD: np.ndarray) -> Self:
        """Wide components at these codes, alike in all classes."""
        mean_D, std_D = active_scale(examples.codes_NxD)
        share_YxM = np.repeat(examples.share_Y[:, None] / len(codes_MxD), len(codes_MxD), axis=1)
        return cls(codes_MxD, share_YxM, std_D, 0.1, mean_D, std_D)

    def improved(self, examples: Examples) -> Self:
        """One round of EM."""
        codes_NxD = examples.codes_NxD
        support_MxD = (self.codes_MxD != 0).astype(np.float32)
        count_YxM = np.zeros(self.share_YxM.shape)
        active_MxD, sum_MxD, square_MxD = (np.zeros(support_MxD.shape) for _ in range(3))
        for start in range(0, len(codes_NxD), _CHUNK):
            z_CxD, class_C = (x[start : start + _CHUNK] for x in (codes_NxD, examples.class_N))
            active_CxD = (z_CxD != 0).astype(np.float32)
            share_CxM = self._responsibilities(z_CxD, active_CxD, support_MxD, class_C)
            for y in range(examples.classes):
                count_YxM[y] += share_CxM[class_C == y].sum(axis=0)
            active_MxD += share_CxM.T @ active_CxD
            sum_MxD += share_CxM.T @ z_CxD
            square_MxD += share_CxM.T @ np.square(z_CxD)
        both_MxD = active_MxD * support_MxD
        seen_MxD = np.maximum(both_MxD, 1e-6)
        # a pseudo-code with hardly any codes of its own stays where it is
        means_MxD = np.where(both_MxD > 0.5, sum_MxD / seen_MxD, self.codes_MxD) * support_MxD
        spread_MxD = square_MxD - 2 * means_MxD * sum_MxD + np.square(means_MxD) * active_MxD
        variance_D = (spread_MxD * support_MxD).sum(0) / np.maximum(both_MxD.sum(0), 1e-6)
        width_D = np.sqrt(np.maximum(variance_D, np.square(_NARROWEST * self.std_D)))
        count_Mx1 = count_YxM.sum(axis=0)[:, None]
        off = active_MxD * (1 - support_MxD) + (count_Mx1 - active_MxD) * support_MxD
        rate = float(np.clip(off.sum() / (len(codes_NxD) * support_MxD.shape[1]), 1e-4, 0.5))
        return self._replace(
            codes_MxD=means_MxD.astype(np.float32),
            share_YxM=np.maximum(count_YxM, 1e-12) / count_YxM.sum(),
            width_D=width_D,
            rate=rate,
        )

    def _responsibilities(
        self,
        z_CxD: np.ndarray,
        active_CxD: np.ndarray,
        support_MxD: np.ndarray,
        class_C: np.ndarray,
    ) -> np.ndarray:
        """share_CxM of each pseudo-code in each code."""
        precision_D = 1.0 / np.square(self.width_D)
        inside_MxD = support_MxD * (np.square(self.codes_MxD) * precision_D)
        inside_MxD += support_MxD * (2.0 * np.log(self.width_D))
        stray_D = np.square((z_CxD - self.mean_D) / self.std_D) + 2.0 * np.log(self.std_D)
        stray_CxD = active_CxD * stray_D
        log_CxM = -0.5 * (
            np.square(z_CxD).astype(np.float32) @ (support_MxD * precision_D).T
            - 2.0 * z_CxD @ (self.codes_MxD * precision_D).T
            + active_CxD @ inside_MxD.T
            + stray_CxD @ (1.0 - support_MxD).T
        )
        differ_CxM = active_CxD @ (1.0 - support_MxD).T + (1.0 - active_CxD) @ support_MxD.T
        log_share_CxM = np.log(self.share_YxM)[class_C]
        log_CxM += differ_CxM * np.log(self.rate / (1.0 - self.rate)) + log_share_CxM
        log_CxM -= log_CxM.max(axis=1, keepdims=True)
        share_CxM = np.exp(log_CxM, dtype=np.float32, casting="same_kind")
        return share_CxM / share_CxM.sum(axis=1, keepdims=True)
