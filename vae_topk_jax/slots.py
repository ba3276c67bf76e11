"""Slots: the D dimensions as k groups of D / k neighbours, of which one each is active.

Group g holds the dimensions from g D / k to (g + 1) D / k - 1. Which of its dimensions is active
says log2(D / k) bits of an image, beside the value that it has.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array

from vae_topk_jax.checks import check_latent
from vae_topk_jax.importance import batch_mean
from vae_topk_jax.selection import check_k


def check_slots(k: int, size: int) -> int:
    """k as an int, if `size` dimensions can be split into k groups of one size.

    Raises:
        ValueError: otherwise.

    Examples:
        >>> check_slots(8, 64)
        8
    """
    k = check_k(k, size)
    if size % k:
        raise ValueError(f"k must divide the {size} dimensions by slot, got {k}")
    return k


@functools.partial(jax.jit, static_argnames="k")
def slot_mask(scores_BxD: Array, k: int) -> Array:
    """The mask of the largest score in each of k groups of neighbours: exactly k latents an image.

    Ties go to the lower index; NaN and -inf are never selected. A constant to differentiation.

    Args:
        scores_BxD: one number per entry, (..., D).
        k: how many groups; it divides D.

    Returns:
        mask_BxD of zeros and ones, float32.

    Raises:
        ValueError: `scores` has no or an empty axis, or k does not divide D.

    Examples:
        >>> slot_mask(jnp.array([[3.0, 1.0, 2.0, 4.0]]), k=2).tolist()
        [[1.0, 0.0, 0.0, 1.0]]
    """
    check_latent(scores=scores_BxD)
    check_slots(k, scores_BxD.shape[-1])
    scores_BxKxS = _grouped(jax.lax.stop_gradient(scores_BxD.astype(jnp.float32)), k)
    rank_BxKxS = jnp.where(jnp.isnan(scores_BxKxS), -jnp.inf, scores_BxKxS)
    best_BxK = jnp.argmax(rank_BxKxS, axis=-1)
    mask_BxKxS = jax.nn.one_hot(best_BxK, rank_BxKxS.shape[-1], dtype=jnp.float32)
    return jnp.where(rank_BxKxS == -jnp.inf, 0, mask_BxKxS).reshape(scores_BxD.shape)


def slot_softmax(logits_BxD: Array, k: int) -> Array:
    """The softmax of each group: how probable each of its dimensions is.

    Examples:
        >>> slot_softmax(jnp.zeros((1, 4)), k=2).tolist()
        [[0.5, 0.5, 0.5, 0.5]]
    """
    return jax.nn.softmax(_grouped(logits_BxD, k), axis=-1).reshape(logits_BxD.shape)


def slot_imbalance(choice_BxD: Array, k: int, valid_B: Array | None = None) -> Array:
    """How far the dimensions of a group are from being used alike, in nats, averaged over groups.

        1/k sum_g sum_s q_gs log(q_gs D / k),    q = mean of the choice over the batch

    This is log(D / k) minus the entropy of q: 0 where every dimension of a group is chosen equally
    often, log(D / k) where always the same one is.

    Args:
        choice_BxD: probabilities that sum to 1 in each group.
        k: how many groups.
        valid_B: marks the real examples of a padded batch.

    Returns:
        () float32.

    Examples:
        >>> choice_BxD = jnp.array([[1.0, 0.0], [0.0, 1.0]])
        >>> slot_imbalance(choice_BxD, 1).item(), round(slot_imbalance(choice_BxD[:1], 1).item(), 4)
        (0.0, 0.6931)

    References:
        Shazeer et al., "Outrageously Large Neural Networks: The Sparsely-Gated Mixture-of-Experts
        Layer", ICLR 2017 (a loss that keeps all experts in use).
    """
    q_KxS = _grouped(batch_mean(choice_BxD, valid_B), k)
    least = jnp.finfo(jnp.float32).tiny
    return jnp.mean(jnp.sum(q_KxS * jnp.log(jnp.maximum(q_KxS * q_KxS.shape[-1], least)), axis=-1))


def _grouped(x_BxD: Array, k: int) -> Array:
    return x_BxD.reshape(*x_BxD.shape[:-1], k, -1)
