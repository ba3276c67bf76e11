"""Every door, in the order in which a path is shown to them."""

from pathlib import Path

from vae_topk_jax.data.doors import (
    cars3d,
    dsprites,
    hugging_face,
    idx_folder,
    mpi3d,
    npy,
    npy_folder,
    npz,
    pictures,
    shapes3d,
    small_norb,
    tables,
    tensors,
)
from vae_topk_jax.data.doors.door import Door, Request
from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.splits import Found

DOORS: tuple[Door, ...] = (
    dsprites.DOOR,
    mpi3d.DOOR,
    shapes3d.DOOR,
    cars3d.DOOR,
    small_norb.DOOR,
    idx_folder.DOOR,
    npy.DOOR,
    npz.DOOR,
    npy_folder.DOOR,
    tensors.DOOR,
    hugging_face.DOOR,
    tables.DOOR,
    pictures.DOOR,
)


def load_path(request: Request) -> Found:
    """What the first door that opens makes of a file or a folder.

    Raises:
        DataError: no door opens, an option that this door does not heed, or what the door refuses.
    """
    door = find_door(request.path)
    request.options.refuse_unless(door.takes, door.title)
    return door.load(request)


def find_door(path: Path) -> Door:
    """The first door that opens.

    Raises:
        DataError: none does.
    """
    for door in DOORS:
        if door.opens(path):
            return door
    titles = ", ".join(door.title for door in DOORS)
    raise DataError(f"{path}: expected one of {titles}")
