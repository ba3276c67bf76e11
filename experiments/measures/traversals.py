"""What each latent does to an image: pictures for any model with a decoder."""

from collections.abc import Callable
from typing import Any

import numpy as np

from vae_topk_jax.metrics.sparsity import dims_in_use

STEPS = 10  # images of a traversal: one line of a strip
SHOWN = 16


def traversals(decode: Callable[[np.ndarray], Any], codes_NxD: np.ndarray) -> np.ndarray:
    """Images along each latent in use, from its smallest to its largest value in the codes.

    The other latents stay at the mean code. Of more than 16 latents in use those are shown along
    which the image moves farthest, that one first.

    Args:
        decode: codes to images.
        codes_NxD: codes of some images.

    Returns:
        images_RxHxWxC in [0, 1], 10 for each latent.

    Examples:
        >>> codes = np.array([[0.0, 0.5, 0.25], [1.0, 0.5, 0.75]])
        >>> images = traversals(lambda z: z[:, None, :, None], codes)
        >>> images[[0, 9], 0, :, 0].tolist(), images[10, 0, :, 0].tolist()
        ([[0.0, 0.5, 0.5], [1.0, 0.5, 0.5]], [0.5, 0.5, 0.25])
    """
    codes_NxD = np.asarray(codes_NxD, np.float32)
    dims_U = dims_in_use(codes_NxD)
    low_U, high_U = codes_NxD.min(0)[dims_U], codes_NxD.max(0)[dims_U]
    z_UxSxD = np.tile(codes_NxD.mean(0), (len(dims_U), STEPS, 1))
    z_UxSxD[np.arange(len(dims_U)), :, dims_U] = np.linspace(low_U, high_U, STEPS, axis=1)
    images = np.clip(np.asarray(decode(z_UxSxD.reshape(-1, codes_NxD.shape[1]))), 0.0, 1.0)
    images_UxSxHxWxC = images.reshape(len(dims_U), STEPS, *images.shape[1:])
    moved_U = np.square(images_UxSxHxWxC[:, -1] - images_UxSxHxWxC[:, 0]).sum(axis=(1, 2, 3))
    farthest = np.argsort(-moved_U, kind="stable")[:SHOWN]
    return images_UxSxHxWxC[farthest].reshape(-1, *images.shape[1:])


def atlas(decode: Callable[[np.ndarray], Any], codes_NxD: np.ndarray) -> np.ndarray:
    """The direction of every latent in the images, a tile each.

        tile_d = 1/2 + (decode(mean + std_d e_d) - decode(mean)) / (2 largest)

    with the mean code, the standard deviation of the latent in the codes and the largest change of
    a pixel in any tile: 1/2 is no change, brighter is more.

    Args:
        decode, codes_NxD: as in `traversals`.

    Returns:
        tiles_DxHxWxC in [0, 1].

    Examples:
        >>> tiles = atlas(lambda z: z[:, None, :, None], np.array([[0.0, 0.5], [1.0, 0.5]]))
        >>> tiles[:, 0, :, 0].tolist()
        [[1.0, 0.5], [0.5, 0.5]]
    """
    codes_NxD = np.asarray(codes_NxD, np.float32)
    mean_1xD = codes_NxD.mean(0, keepdims=True)
    stepped_DxD = mean_1xD + np.diag(codes_NxD.std(0))
    images = np.asarray(decode(np.concatenate([mean_1xD, stepped_DxD])))
    change_DxHxWxC = images[1:] - images[:1]
    largest = np.abs(change_DxHxWxC).max()
    return 0.5 + 0.5 * change_DxHxWxC / (largest if largest > 0 else 1.0)
