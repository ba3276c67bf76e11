"""A folder of IDX files, as those of MNIST."""

from pathlib import Path

from vae_topk_jax.data.doors.door import Door, Request
from vae_topk_jax.data.idx import holds_idx_files, load_idx_folder
from vae_topk_jax.data.splits import Found, Split


def _opens(path: Path) -> bool:
    return path.is_dir() and holds_idx_files(path)


def _load(request: Request) -> Found:
    data = load_idx_folder(request.path)
    train = Split(data.train_images, data.train_labels)
    return Found(data.name, data.source, train, Split(data.test_images, data.test_labels))


DOOR = Door("a folder of IDX files", _opens, _load)
