"""Which supports codes may have: any, exactly K entries, or one entry of each of K groups."""

from typing import NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


class Supports(NamedTuple):
    """How the support of a code follows from a score of each entry.

    Attributes:
        group_D: the group of each entry, ascending.
        count_D: how many entries of its group are active; 0: those with a score above 0.

    Examples:
        >>> two_of_four = Supports.of(np.array([[1, 0, 0, 1], [0, 1, 1, 0]]) != 0)
        >>> two_of_four.mask(jnp.array([[-3.0, -1.0, -2.0, -4.0]])).tolist()  # one of each pair
        [[False, True, True, False]]
    """

    group_D: Array
    count_D: Array

    @classmethod
    def of(cls, active_NxD: np.ndarray) -> Self:
        """The narrowest rule that all these supports keep."""
        size = active_NxD.shape[1]
        counts_N = active_NxD.sum(axis=1)
        k = int(counts_N[0])
        group_D, count_D = np.zeros(size, np.int32), np.zeros(size, np.int32)
        if k and np.all(counts_N == k):
            count_D += k
            if size % k == 0 and np.all(active_NxD.reshape(len(active_NxD), k, -1).sum(2) == 1):
                group_D = np.repeat(np.arange(k, dtype=np.int32), size // k)
                count_D = np.ones(size, np.int32)
        return cls(jnp.asarray(group_D), jnp.asarray(count_D))

    def mask(self, score_NxD: Array) -> Array:
        """mask_NxD of which entries are active, by their scores."""
        order_NxD = jax.vmap(lambda score_D: jnp.lexsort((-score_D, self.group_D)))(score_NxD)
        first_D = jnp.searchsorted(self.group_D, self.group_D)
        rank_NxD = jnp.argsort(order_NxD, axis=1) - first_D[None]
        count_1xD = self.count_D[None]
        return jnp.where(count_1xD > 0, rank_NxD < count_1xD, score_NxD > 0)
