"""Exported model files to and from the Hugging Face hub, or whatever speaks its language.

python -m experiments.hub push --folder runs/model/exported --repo USER/NAME
python -m experiments.hub pull --repo USER/NAME --out models/name

Needs the extra `hub`. The token is the one that `hf auth login` keeps, or HF_TOKEN.
"""

import dataclasses
from pathlib import Path

from experiments.terminal import cli
from vae_topk_jax.hub import LARGEST_MB, pull, push
from vae_topk_jax.runs.progress import console


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
    largest: int = LARGEST_MB
    """How many megabytes the files may have together."""
    endpoint: str | None = None
    """Address of another hub."""


def main(args: list[str] | None = None) -> None:
    """Parses the command line, and pushes or pulls."""
    with cli.one_line_errors():
        options = cli.parse(Push | Pull, args)
        run = push if isinstance(options, Push) else pull
        console.print(f"{run(**vars(options))}")


if __name__ == "__main__":
    main()
