"""Exported model files to and from the Hugging Face hub, or whatever speaks its language.

python -m experiments.hub push --folder runs/model/exported --repo USER/NAME
python -m experiments.hub pull --repo USER/NAME --out models/name

Needs the extra `hub`. The token is the one that `hf auth login` keeps, or HF_TOKEN.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.terminal import cli
from vae_topk_jax.export import PROGRAMS
from vae_topk_jax.extras import install_advice
from vae_topk_jax.files import new_folder
from vae_topk_jax.manifest import NAME as MANIFEST
from vae_topk_jax.model_files import ABOUT, read_about
from vae_topk_jax.runs.model_card import CARD
from vae_topk_jax.runs.progress import console
from vae_topk_jax.weights import WEIGHTS

if TYPE_CHECKING:
    from huggingface_hub import HfApi

FILES = (*(f"{name}.stablehlo" for name in PROGRAMS), WEIGHTS, ABOUT, MANIFEST, CARD)
_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Push:
    """Uploads a folder that `experiments.export` wrote, as one commit."""

    folder: Path
    """The model files; compared with their manifest first."""
    repo: str
    """USER/NAME; made if it is not there."""
    public: bool = False
    """Whether a repository that is made now may be seen by everybody."""
    endpoint: str | None = None
    """Address of another hub."""


@dataclasses.dataclass(frozen=True)
class Pull:
    """Downloads model files, all of them or none, and compares them with their manifest."""

    repo: str
    """USER/NAME."""
    out: Path
    """Folder to make."""
    revision: str | None = None
    """A commit, a tag or a branch. A commit says which bytes you get; a branch may move."""
    largest: int = 2000
    """How many megabytes the files may have together."""
    endpoint: str | None = None
    """Address of another hub."""


def push(options: Push) -> str:
    """Uploads the model files and nothing else; returns the address of the commit.

    Raises:
        ValueError: a folder that is not as its manifest says.
        OSError: the hub cannot be reached, or refuses.
    """
    read_about(options.folder)
    with _one_line_failures(options) as api:
        api.create_repo(options.repo, private=not options.public, exist_ok=True)
        commit = api.upload_folder(
            repo_id=options.repo,
            folder_path=options.folder,
            allow_patterns=list(FILES),
            commit_message="Model files",
        )
    return commit.commit_url


def pull(options: Pull) -> Path:
    """Downloads the files of `FILES`, and no other, at one commit; nothing in them is run.

    Raises:
        ValueError: more bytes than allowed, or files that are not as their manifest says.
        OSError: the hub cannot be reached, or has no such files.
    """
    with new_folder(options.out) as partial:
        with _one_line_failures(options) as api:
            info = api.model_info(options.repo, revision=options.revision)
            there = {file.rfilename for file in info.siblings or ()}
            _download(options, info.sha, [name for name in FILES if name in there], partial)
        read_about(partial)
    return options.out


def _download(options: Pull, commit: str | None, names: Iterable[str], folder: Path) -> None:
    """The files at a commit, as long as what comes stays below `--largest`, whatever sizes the hub
    says they have."""
    from huggingface_hub import HfFileSystem

    hub, left = HfFileSystem(endpoint=options.endpoint), options.largest * 1_000_000
    for name in names:
        source = hub.open(f"{options.repo}/{name}", revision=commit, block_size=0)
        with source, (folder / name).open("wb") as target:
            while chunk := source.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise ValueError(f"{options.repo} has more than --largest {options.largest} MB")
                target.write(chunk)


@contextlib.contextmanager
def _one_line_failures(options: Push | Pull) -> Iterator["HfApi"]:
    """The hub's interface, whose errors of many kinds and lines become an OSError of one line."""
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise ValueError(f"the hub needs the extra `hub`: {install_advice('hub')}") from None
    api = HfApi(options.endpoint)
    try:
        yield api
    except ValueError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise OSError(f"{options.repo} at {api.endpoint}: {reason}") from error


def main(args: list[str] | None = None) -> None:
    """Parses the command line, and pushes or pulls."""
    with cli.one_line_errors():
        options = cli.parse(Push | Pull, args)
        done = push(options) if isinstance(options, Push) else pull(options)
        console.print(f"{done}")


if __name__ == "__main__":
    main()
