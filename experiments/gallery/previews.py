"""What stands for an input on a page: pictures or texts from a file of one's own."""

from pathlib import Path

import numpy as np

from vae_topk_jax.data.rows import Images
from vae_topk_jax.files import check_path
from vae_topk_jax.foreign import read_regular

_MOST = 1 << 30  # bytes


def read_previews(path: Path) -> Images | list[str]:
    """The previews in a file, one for each input of the split, in its order.

    Args:
        path: `.txt`, a line for each, or `.npy`, uint8 images (N, H, W) or (N, H, W, C).

    Raises:
        ValueError: another kind of file, or another type or shape inside.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "words.txt").write_text("a cat\\na dog\\n")
        ...     read_previews(Path(folder) / "words.txt")
        ['a cat', 'a dog']
    """
    check_path("previews", path)
    if path.suffix == ".txt":
        return read_regular(path, _MOST).decode("utf-8", errors="replace").splitlines()
    if path.suffix != ".npy":
        raise ValueError(f"previews must be a .txt or .npy file, got {path}")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"previews: {path} is no array: {error}") from None
    if array.dtype != np.uint8 or array.ndim not in (3, 4):
        raise ValueError(
            f"previews must be uint8 images (N, H, W) or (N, H, W, C), got {array.dtype} "
            f"{array.shape} in {path}"
        )
    return array[..., None] if array.ndim == 3 else array
