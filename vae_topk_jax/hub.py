"""Model files to and from the Hugging Face hub, or whatever speaks its language.

A repository holds the folder of `vae_topk_jax.model_files`, a file each, and the model card as its
README.md. Needs the extra `hub`. The token is the one that `hf auth login` keeps, or HF_TOKEN.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vae_topk_jax.export import GENERATOR, PROGRAMS
from vae_topk_jax.extras import install_advice
from vae_topk_jax.files import cache_folder, new_folder
from vae_topk_jax.fitted_priors import FILES as PRIOR_FILES
from vae_topk_jax.manifest import NAME as MANIFEST
from vae_topk_jax.model_files import ABOUT, CARD, WEIGHTS, read_about

if TYPE_CHECKING:
    from huggingface_hub import HfApi

FILES = (
    *(f"{name}.stablehlo" for name in (*PROGRAMS, GENERATOR)),
    *PRIOR_FILES,
    WEIGHTS,
    ABOUT,
    MANIFEST,
    CARD,
)
LARGEST_MB = 2000
_REPO = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CHUNK = 1 << 20


def check_repo(repo: str) -> None:
    """Refuses what is not the name of a repository.

    Examples:
        >>> check_repo("../digits")
        Traceback (most recent call last):
        ValueError: repo must be OWNER/NAME, got '../digits'
    """
    if not _REPO.fullmatch(repo):
        raise ValueError(f"repo must be OWNER/NAME, got {repo!r}")


def push(
    folder: Path | str, repo: str, *, public: bool = False, endpoint: str | None = None
) -> str:
    """Uploads the model files in a folder and nothing else, as one commit.

    Args:
        folder: the model files; compared with their manifest first.
        repo: OWNER/NAME; made if it is not there.
        public: whether a repository that is made now may be seen by everybody.
        endpoint: address of another hub.

    Returns:
        The address of the commit.

    Raises:
        ValueError: a folder that is not as its manifest says, or no name of a repository.
        OSError: the hub cannot be reached, or refuses.
    """
    check_repo(repo)
    read_about(Path(folder))
    with _one_line_failures(repo, endpoint) as api:
        api.create_repo(repo, private=not public, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            allow_patterns=list(FILES),
            commit_message="Model files",
        )
    return commit.commit_url


def pull(
    repo: str,
    out: Path | str,
    *,
    revision: str | None = None,
    largest: int = LARGEST_MB,
    endpoint: str | None = None,
) -> Path:
    """Downloads the model files of a repository at one commit, all of them or none, and no other
    file; nothing in them is run.

    Args:
        repo: OWNER/NAME.
        out: folder to make.
        revision: a commit, a tag or a branch. A commit says which bytes you get; a branch may move.
        largest: how many megabytes the files may have together.
        endpoint: address of another hub.

    Returns:
        The folder.

    Raises:
        ValueError: more bytes than allowed, files that are not as their manifest says, or no name
            of a repository.
        OSError: the hub cannot be reached, or has no such files.
        FileExistsError: the folder is there already.
    """
    check_repo(repo)
    with new_folder(Path(out)) as partial:
        with _one_line_failures(repo, endpoint) as api:
            info = api.model_info(repo, revision=revision)
            there = {file.rfilename for file in info.siblings or ()}
            names = [name for name in FILES if name in there]
            _download(api, repo, info.sha, names, partial, largest)
        read_about(partial)
    return Path(out)


def cached(
    repo: str,
    *,
    revision: str | None = None,
    largest: int = LARGEST_MB,
    endpoint: str | None = None,
    cache_dir: Path | str | None = None,
) -> Path:
    """The folder of the model files of a repository, downloaded once for each commit.

    Where `revision` is a whole commit that was downloaded before, the hub is not asked.

    Args:
        repo, revision, largest, endpoint: as of `pull`, errors too.
        cache_dir: in place of VAE_TOPK_CACHE, or else of the user's cache folder.
    """
    check_repo(repo)
    commit = revision if revision and _COMMIT.fullmatch(revision) else None
    if commit is None:
        with _one_line_failures(repo, endpoint) as api:
            commit = str(api.model_info(repo, revision=revision).sha)
    if not _COMMIT.fullmatch(commit):
        raise ValueError(f"{repo}: the hub must name a commit of 40 digits, got {commit!r}")
    folder = cache_folder(cache_dir) / "hub" / repo / commit
    if not folder.exists():
        with contextlib.suppress(FileExistsError):  # another process was faster
            pull(repo, folder, revision=commit, largest=largest, endpoint=endpoint)
    return folder


def _download(
    api: "HfApi", repo: str, commit: str | None, names: Iterable[str], folder: Path, largest: int
) -> None:
    """The files at a commit, as long as what comes stays below `largest` megabytes, whatever sizes
    the hub says they have."""
    from huggingface_hub import HfFileSystem

    hub, left = HfFileSystem(endpoint=api.endpoint), largest * 1_000_000
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        source = hub.open(f"{repo}/{name}", revision=commit, block_size=0)
        with source, (folder / name).open("wb") as target:
            while chunk := source.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise ValueError(f"{repo} must have at most {largest} MB (largest), has more")
                target.write(chunk)


@contextlib.contextmanager
def _one_line_failures(repo: str, endpoint: str | None) -> Iterator["HfApi"]:
    """The hub's interface, whose errors of many kinds and lines become an OSError of one line."""
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise ValueError(f"the hub needs the extra `hub`: {install_advice('hub')}") from None
    api = HfApi(endpoint)
    try:
        yield api
    except ValueError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise OSError(f"{repo} at {api.endpoint}: {reason}") from error
