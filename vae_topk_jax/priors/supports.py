"""Which supports codes may have: any, exactly K entries, or one entry of each of K groups."""

from typing import NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


class Supports(NamedTuple):
    """How the support of a code follows from a score of each entry that is active in some codes
    and not in others.

    Attributes:
        group_V: the group of each of these entries, ascending.
        count_V: how many of its group are active; 0: those with a score above 0.

    Examples:
        >>> one_of_each_pair = Supports.of(np.array([[1, 0, 0, 1], [0, 1, 1, 0]]) != 0)
        >>> one_of_each_pair.mask(jnp.array([[-3.0, -1.0, -2.0, -4.0]])).tolist()
        [[False, True, True, False]]
    """

    group_V: Array
    count_V: Array

    @classmethod
    def of(cls, active_NxD: np.ndarray) -> Self:
        """The narrowest rule that all these supports keep."""
        size = active_NxD.shape[1]
        counts_N = active_NxD.sum(axis=1)
        k = int(counts_N[0])
        group_D, count_D = np.zeros(size, np.int32), np.zeros(size, np.int32)
        if k and np.all(counts_N == k):
            count_D += k
            if slots_of(active_NxD):
                group_D = np.repeat(np.arange(k, dtype=np.int32), size // k)
                count_D = np.ones(size, np.int32)
            count_D -= np.bincount(group_D, active_NxD.all(axis=0))[group_D].astype(np.int32)
        varies_D = varying(active_NxD)
        return cls(jnp.asarray(group_D[varies_D]), jnp.asarray(count_D[varies_D]))

    def mask(self, score_NxV: Array) -> Array:
        """mask_NxV of which entries are active, by their scores."""
        order_NxV = jax.vmap(lambda score_V: jnp.lexsort((-score_V, self.group_V)))(score_NxV)
        first_V = jnp.searchsorted(self.group_V, self.group_V)
        rank_NxV = jnp.argsort(order_NxV, axis=1).astype(first_V.dtype) - first_V[None]
        count_1xV = self.count_V[None]
        return jnp.where(count_1xV > 0, rank_NxV < count_1xV, score_NxV > 0)


def slots_of(active_NxD: np.ndarray) -> int:
    """K if all supports have one entry of each of K groups of neighbours, else 0.

    Examples:
        >>> slots_of(np.array([[1, 0, 0, 1], [0, 1, 1, 0]]) != 0)
        2
        >>> slots_of(np.array([[1, 1, 0, 0], [0, 1, 1, 0]]) != 0)
        0
    """
    k, size = int(active_NxD[0].sum()), active_NxD.shape[1]
    if not k or size % k:
        return 0
    return k if np.all(active_NxD.reshape(len(active_NxD), k, -1).sum(axis=2) == 1) else 0


def varying(active_NxD: np.ndarray) -> np.ndarray:
    """Which entries are active in some codes and not in others.

    Examples:
        >>> varying(np.array([[True, False, True], [True, False, False]])).tolist()
        [False, False, True]
    """
    return active_NxD.any(axis=0) & ~active_NxD.all(axis=0)
