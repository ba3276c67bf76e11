"""Trees of features: a child fires only where its parent does, and siblings exclude each other.

Features are numbered level by level: first the roots, then the children of the first root, those of
the second, and so on. So each level is one block, and the children of a parent lie together.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Level(NamedTuple):
    """The features of one level and their parents, as ranges.

    Attributes:
        parents: of the features above.
        children: of the features of this level; `branching` to each parent.
    """

    parents: slice
    children: slice


@dataclasses.dataclass(frozen=True)
class Hierarchy:
    """As many trees of one shape as there are roots.

    Attributes:
        roots: how many trees; 0: no hierarchy.
        branching: how many children a parent has.
        depth: how many levels lie below the roots.

    Examples:
        >>> Hierarchy(roots=128, branching=4, depth=3).size
        10880
        >>> Hierarchy(roots=2, branching=2, depth=1).levels
        (Level(parents=slice(0, 2, None), children=slice(2, 6, None)),)
    """

    roots: int
    branching: int
    depth: int

    @property
    def levels(self) -> tuple[Level, ...]:
        """Those below the roots, from the top."""
        levels, above, width = [], 0, self.roots
        for _ in range(self.depth if self.roots else 0):
            start, wider = above + width, width * self.branching
            levels.append(Level(slice(above, start), slice(start, start + wider)))
            above, width = start, wider
        return tuple(levels)

    @property
    def size(self) -> int:
        """How many features stand in a tree; those after them stand alone."""
        return self.levels[-1].children.stop if self.levels else self.roots


def compensated(probability_G: Array, hierarchy: Hierarchy) -> Array:
    """With which probability each feature must be drawn so that about `probability_G` are left.

        p_g (1 / p_parent) (1 + sum of p over the siblings of g / p_parent),  at most 1

    Where the product exceeds 1 the feature fires less often than it should, as in sae_lens.

    Examples:
        >>> p_G = jnp.array([0.5, 0.125, 0.125])
        >>> compensated(p_G, Hierarchy(roots=1, branching=2, depth=1)).tolist()
        [0.5, 0.3125, 0.3125]
    """
    drawn_G = probability_G
    for parents, children in hierarchy.levels:
        child_PxC = probability_G[children].reshape(-1, hierarchy.branching)
        parent_Px1 = probability_G[parents][:, None]
        siblings_PxC = jnp.maximum(jnp.sum(child_PxC, axis=1, keepdims=True) - child_PxC, 0.0)
        factor_PxC = (1.0 + siblings_PxC / parent_Px1) / parent_Px1
        drawn_G = drawn_G.at[children].set(jnp.minimum(child_PxC * factor_PxC, 1.0).ravel())
    return drawn_G


def impose(hierarchy: Hierarchy, features_BxG: Array, mean_G: Array, key: Array) -> Array:
    """The features that the trees leave.

    From the top: of the children of a parent that fire one is drawn, and its strength is multiplied
    by the parent's over the parent's mean; below a parent that does not fire nothing does.

    Args:
        hierarchy: the trees.
        features_BxG: strengths, 0 where a feature does not fire.
        mean_G: mean strength of each feature where it fires.
        key: typed key, for the draw among siblings.

    Examples:
        >>> features = jnp.array([[4.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
        >>> trees = Hierarchy(roots=1, branching=2, depth=1)
        >>> left = impose(trees, features, jnp.full(3, 2.0), jax.random.key(0))
        >>> left.sum(axis=1).tolist()
        [6.0, 0.0]
    """
    blocks = [features_BxG[:, : hierarchy.roots]]
    keys = jax.random.split(key, max(hierarchy.depth, 1))
    for level_key, (parents, children) in zip(keys, hierarchy.levels, strict=False):
        drawn_BxPxC = features_BxG[:, children].reshape(
            len(features_BxG), parents.stop - parents.start, hierarchy.branching
        )
        scale_BxP = blocks[-1] / mean_G[parents][None, :]
        kept_BxPxC = jnp.where(_one_of(drawn_BxPxC > 0, level_key), drawn_BxPxC, 0.0)
        blocks.append((kept_BxPxC * scale_BxP[:, :, None]).reshape(len(features_BxG), -1))
    return jnp.concatenate([*blocks, features_BxG[:, hierarchy.size :]], axis=1)


def _one_of(fires_BxPxC: Array, key: Array) -> Array:
    """One of the siblings that fire, each with the same chance."""
    place_BxPxC = jnp.cumsum(fires_BxPxC, axis=2, dtype=jnp.int32)
    count_BxP = place_BxPxC[:, :, -1]
    chance_BxP = jax.random.uniform(key, count_BxP.shape, jnp.float32)
    chosen_BxP = 1 + (chance_BxP * count_BxP.astype(jnp.float32)).astype(jnp.int32)
    return fires_BxPxC & (place_BxPxC == chosen_BxP[:, :, None])
