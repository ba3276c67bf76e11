"""A folder of pictures: flat, a folder a class, or either of these in train/ and test/."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from vae_topk_jax.data.cache import decoded, fingerprint
from vae_topk_jax.data.decoding import Decoder, Encoded
from vae_topk_jax.data.doors.door import Door, Request, name_of
from vae_topk_jax.data.doors.listing import Listing, holds, listing
from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.picture import SUFFIXES
from vae_topk_jax.data.splits import Found, Split

_SPLITS = ("train", "test")
_TAKES = frozenset({"image_size", "colour", "skip_broken"})
# What systems leave in folders of pictures.
_JUNK = ("thumbs.db", "desktop.ini")


def _opens(path: Path) -> bool:
    return holds(path, lambda name: name.endswith(SUFFIXES), levels=2)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _load(request: Request) -> Found:
    folder, options = request.path, request.options
    here = listing(folder)
    subfolders = [path.name for path in here.folders]
    if "test" in subfolders and "train" not in subfolders:
        raise DataError(f"{folder}: expected train/ beside test/, found {', '.join(subfolders)}")
    roots = {folder: here}
    if "train" in subfolders:
        roots = {folder / name: listing(folder / name) for name in _SPLITS if name in subfolders}
        if extra := sorted({*subfolders} - {*_SPLITS}):
            request.log(f"{folder}: left out {', '.join(extra)}, beside train and test")
    classes = _classes(*next(iter(roots.items())))
    splits = [_split(request, root, here, classes) for root, here in roots.items()]
    test = splits[1] if len(splits) == 2 else None
    sized = "" if options.image_size is None else f", {options.image_size} pixels a side"
    return Found(folder.name, f'pictures in "{name_of(folder)}"{sized}', splits[0], test)


def _classes(root: Path, here: Listing) -> list[str]:
    """The names of the folders with pictures; none where the pictures lie in the root itself."""
    folders = [path.name for path in here.folders]
    if not any(map(_is_picture, here.files)):
        return folders
    if folders:
        raise DataError(f"{root}: expected pictures or a folder a class, found both: {folders[0]}/")
    return []


def _split(request: Request, root: Path, here: Listing, classes: list[str]) -> Split:
    own = _classes(root, here)
    if unknown := [name for name in own if name not in classes] or (classes if not own else []):
        raise DataError(f"{root}: expected the classes of train, found {unknown[0]}/ in one alone")
    files: list[tuple[Path, int | None]] = []
    others = []
    for name in own or [""]:
        found = _files(listing(root / name) if own else here)
        label = classes.index(name) if own else None
        if not any(map(_is_picture, found)):
            raise DataError(f"{root / name}: expected pictures, found none")
        files += [(path, label) for path in found if _is_picture(path)]
        others += [path for path in found if not _is_picture(path)]
    if others := [path for path in others if path.name.lower() not in _JUNK]:
        request.log(f"{root}: left out {len(others)} files that are no pictures: {others[0].name}")
    decoder = Decoder(request.options, str(root))
    options = {name: request.options.given.get(name) for name in sorted(_TAKES)}
    stats = hashlib.sha256(fingerprint(*(path for path, _ in files)).encode()).hexdigest()
    key = f"pictures {stats} {classes} {json.dumps(options)}"

    def blocks():
        request.log(f"decoding {len(files):,} pictures in {root}; the next run finds them decoded")
        return decoder.blocks(lambda: (Encoded(path, str(path), label) for path, label in files))

    kept = decoded(request.cache, str(root), key, blocks, lambda: "\n".join(decoder.broken))
    if kept.notes:
        broken = kept.notes.splitlines()
        request.log(f"{root}: left out {len(broken)} broken pictures, the first: {broken[0]}")
    return Split(kept.images, kept.labels)


def _files(found: Listing) -> list[Path]:
    if found.folders:
        raise DataError(f"{found.folders[0]}: expected a picture, found a folder inside a class")
    return found.files


DOOR = Door("a folder of pictures", _opens, _load, _TAKES)
