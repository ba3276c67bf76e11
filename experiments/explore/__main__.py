"""A page to look into a trained model: pick an input, drag or ablate its latents, add noise.

    python -m experiments.explore --checkpoint runs/model
    python -m experiments.explore --checkpoint runs/model --dense runs/dense --gallery gallery
    python -m experiments.explore --checkpoint runs/sae --data photos.npy

Needs the extra `explore` (Gradio) and no network. There is no authentication: leave it on the
loopback address.
"""

import importlib.util
import os
from pathlib import Path

from experiments.explore.inspection import Inspector
from experiments.explore.page import make_page, serve
from experiments.explore.view import View
from experiments.study.shown_inputs import Split, find_inputs
from experiments.terminal import cli
from experiments.web.listening import listen, names
from vae_topk_jax.checkpoint_folder import read_info
from vae_topk_jax.data import DataOptions
from vae_topk_jax.extras import install_advice
from vae_topk_jax.inference import load

_AS_GIVEN = DataOptions()


def main(
    checkpoint: Path,
    dense: Path | None = None,
    data: str | None = None,
    reading: DataOptions = _AS_GIVEN,
    inputs: str | None = None,
    split: Split = "test",
    gallery: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 7860,
    allowed_hosts: tuple[str, ...] = (),
) -> None:
    """Shows a trained model on a local page until it is interrupted.

    Args:
        checkpoint: a run's folder, its folder of checkpoints, or one of them.
        dense: one of a dense model, to compare with.
        data: whose inputs are shown, as in experiments.train; those of the run if not given.
        reading: how the data are read.
        inputs: what the model sees of them, as in experiments.train; as in the run if not given.
        split: whose inputs are shown, train or test.
        gallery: a folder that experiments.gallery made of the model, to link to.
        host: address to listen on; the default is reached from this machine only.
        port: port to listen on; 0: any free one.
        allowed_hosts: further names by which browsers may call it, such as that of a proxy in front
            of it.
    """
    for path in filter(None, (checkpoint, dense)):
        read_info(path)
    if gallery is not None and not (gallery / "index.html").is_file():
        raise ValueError(f"gallery must be a folder that experiments.gallery made, got {gallery}")
    if importlib.util.find_spec("gradio") is None:
        raise ValueError(f"exploring needs the extra `explore`: {install_advice('explore')}")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with listen(host, port) as listening:
        view = View(
            Inspector(load(checkpoint)),
            find_inputs(checkpoint, split, data, reading, inputs),
            None if dense is None else Inspector(load(dense)),
            has_gallery=gallery is not None,
        )
        page = make_page(view, view.importance(checkpoint))
        serve(page, listening, names(host, allowed_hosts), gallery)


if __name__ == "__main__":
    cli.run(main)
