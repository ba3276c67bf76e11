"""What the decoder draws for a latent: alone, as a change, and along its range."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vae_topk_jax.inference import Inference


STEPS = 5  # along the range of a latent
_VALUES = 1 << 22  # of the codes that are decoded at once


class Drawing(NamedTuple):
    """What the decoder makes of one latent.

    Attributes:
        alone_HxWxC: of a code with nothing but the latent, at its strongest value.
        change_HxWxC: how that differs from the output of a code of zeros.
        along_ZxSxHxWxC: of each base code with the latent moved along its range.
    """

    alone_HxWxC: NDArray
    change_HxWxC: NDArray
    along_ZxSxHxWxC: NDArray


def draw(
    model: "Inference",
    latents: Sequence[int],
    base_ZxD: NDArray,
    low_D: NDArray,
    high_D: NDArray,
) -> Iterator[Drawing]:
    """What the decoder draws for some latents, one after the other.

    Args:
        model: the model.
        latents: their numbers.
        base_ZxD: codes of the base inputs.
        low_D, high_D: the smallest and the largest value of each latent, 0 among them.

    Examples:
        >>> from types import SimpleNamespace
        >>> model = SimpleNamespace(decode=lambda z: 1 + z[:, None, :, None])
        >>> (drawing,) = draw(model, [1], np.zeros((3, 2)), np.zeros(2), np.full(2, 4.0))
        >>> drawing.alone_HxWxC[0, :, 0].tolist(), drawing.change_HxWxC[0, :, 0].tolist()
        ([1.0, 5.0], [0.0, 4.0])
        >>> drawing.along_ZxSxHxWxC[2, :, 0, 1, 0].tolist()
        [1.0, 2.0, 3.0, 4.0, 5.0]
    """
    bases, size = base_ZxD.shape
    zeros = np.zeros(size, np.float32)
    nothing, *_ = np.asarray(model.decode(zeros[None]))
    at_once = max(1, _VALUES // (size * (1 + bases * STEPS)))
    for start in range(0, len(latents), at_once):
        group = latents[start : start + at_once]
        codes = []
        for d in group:
            alone_D = zeros.copy()
            alone_D[d] = high_D[d] if high_D[d] >= -low_D[d] else low_D[d]
            along_ZxSxD = np.repeat(base_ZxD.astype(np.float32)[:, None], STEPS, axis=1)
            along_ZxSxD[:, :, d] = np.linspace(low_D[d], high_D[d], STEPS)
            codes += [alone_D, *along_ZxSxD.reshape(-1, size)]
        images = np.asarray(model.decode(np.stack(codes)))
        of_latent = images.reshape(len(group), 1 + bases * STEPS, *nothing.shape)
        for alone, *along in of_latent:
            along_ZxS = np.reshape(along, (bases, STEPS, *nothing.shape))
            yield Drawing(alone, alone - nothing, along_ZxS)
