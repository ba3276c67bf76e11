"""Folders that are pushed to a hub and hold what others must not see, and hubs that send more than
they say."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

from experiments.chaos.small_run import require, small_model, temporary_folder
from experiments.chaos.stand_in_hub import Hub, running_hub
from vae_topk_jax import hub
from vae_topk_jax.export import export_model
from vae_topk_jax.model_card import write_card
from vae_topk_jax.model_files import CARD

_REPO = "me/model"
_SECRET = b"not for others"
_LARGEST_MB = 1
Rng = np.random.Generator


def hubs(trials: int) -> str:
    """Folders with links, pipes and files of one's own that are pushed, and hubs with files that
    are too large, damaged or missing: refused in one line, or the model files and nothing else;
    none of them names a folder of this machine."""
    rng, outcomes = np.random.default_rng(0), Counter[str]()
    with temporary_folder() as folder, running_hub() as server:
        trained = small_model()
        images = rng.random((32, *trained.info.image_shape), np.float32)
        trained.fit_prior(images, "patterns")
        model = export_model(trained, folder / "model")
        write_card(model, trained, {}, repo=_REPO)
        (folder / "secret").write_bytes(_SECRET)
        with mock.patch.dict(os.environ, HF_TOKEN="hf_none"):
            for trial in range(trials):
                try_one = _push if trial % 2 else _pull
                outcomes[try_one(server, model, folder / "tried", rng)] += 1
    return ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))


def _push(server: Hub, model: Path, folder: Path, rng: Rng) -> str:
    """Pushes a copy of the model files to which something was added, or in which one is a link."""
    shutil.copytree(model, folder)
    kind, secret, names = rng.integers(6), folder.parent / "secret", _files(model)
    name = str(rng.choice(names if kind < 3 else _checked(names)))
    if kind == 0:
        (folder / name).unlink()
        (folder / name).symlink_to(secret)
    elif kind == 1:
        (folder / "notes.txt").write_bytes(_SECRET)
    elif kind == 2:
        (folder / name).unlink()
        os.mkfifo(folder / name)
    elif kind == 3:
        (folder / name).write_bytes((folder / name).read_bytes() + _SECRET)
    elif kind == 4:
        (folder / ".git").symlink_to(folder.parent)
    server.repos.clear()
    is_pushed = _is_done(lambda: hub.push(folder, _REPO, endpoint=server.endpoint))
    require(is_pushed or kind != 5, "model files as they should be were refused")
    sent = server.repos.get(_REPO, {})
    require(sorted(sent) == (names if is_pushed else []), f"{sorted(sent)} was sent")
    for private in (_SECRET, os.fsencode(Path.cwd()), os.fsencode(folder.parent)):
        named = [file for file, content in sent.items() if private in content]
        require(not named, f"{private!r} stands in {named}")
    shutil.rmtree(folder)
    return "pushed" if is_pushed else "pushes refused"


def _pull(server: Hub, model: Path, folder: Path, rng: Rng) -> str:
    """Pulls the model files from a hub where one of them is not as it should be."""
    names = _files(model)
    files = {name: (model / name).read_bytes() for name in names}
    name, kind = str(rng.choice(_checked(names))), rng.integers(5)
    if kind == 0:
        files[name] = rng.bytes(_LARGEST_MB * 1_000_000 + 1)
    elif kind == 1:
        files[name] = files[name][: rng.integers(len(files[name]))]
    elif kind == 2:
        del files[name]
    elif kind == 3:
        files["../evil"] = files["evil.py"] = _SECRET
    server.repos[_REPO] = files
    is_pulled = _is_done(
        lambda: hub.pull(_REPO, folder, largest=_LARGEST_MB, endpoint=server.endpoint)
    )
    require(
        is_pulled == (kind >= 3), f"{name}: kind {kind} was {'' if is_pulled else 'not '}pulled"
    )
    require(folder.exists() == is_pulled, "half a folder is left")
    if is_pulled:
        require(_files(folder) == names, "other files were pulled")
        shutil.rmtree(folder)
    require(not (folder.parent / "evil").exists(), "a file was written outside the folder")
    return "pulled" if is_pulled else "pulls refused"


def _files(folder: Path) -> list[str]:
    """The names of all files in a folder."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _checked(names: list[str]) -> list[str]:
    """Those that a manifest must name."""
    return [name for name in names if name != CARD]


def _is_done(action: Callable[[], object]) -> bool:
    """Whether it was done; it may be refused in one line."""
    try:
        action()
    except (ValueError, OSError) as refusal:
        require("\n" not in str(refusal), f"several lines: {refusal}")
        return False
    return True
