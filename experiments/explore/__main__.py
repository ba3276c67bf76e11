"""A page to look into a trained model: pick or draw a digit, drag its latents, add noise.

    python -m experiments.explore --checkpoint runs/model/checkpoints
    python -m experiments.explore --checkpoint runs/model/checkpoints --dense runs/dense/checkpoints

Needs the extra `explore` (Gradio) and no network. There is no authentication: leave it on the
loopback address.
"""

import importlib.util
import os
from pathlib import Path

from experiments.explore.inspection import Inspector
from experiments.explore.page import make_page, serve
from experiments.explore.view import View
from experiments.terminal import cli
from experiments.web.listening import listen, names
from vae_topk_jax.checkpoint_folder import read_info
from vae_topk_jax.data import load_dataset
from vae_topk_jax.extras import install_advice
from vae_topk_jax.inference import load


def main(
    checkpoint: Path,
    dense: Path | None = None,
    data: str = "auto",
    host: str = "127.0.0.1",
    port: int = 7860,
    allowed_hosts: tuple[str, ...] = (),
) -> None:
    """Shows a trained model on a local page until it is interrupted.

    Args:
        checkpoint: a run's folder, its folder of checkpoints, or one of them.
        dense: one of a dense model, to compare with.
        data: whose test images are shown, as in experiments.train.
        host: address to listen on; the default is reached from this machine only.
        port: port to listen on; 0: any free one.
        allowed_hosts: further names by which browsers may call it, such as that of a proxy in front
            of it.
    """
    for path in filter(None, (checkpoint, dense)):
        read_info(path)
    if importlib.util.find_spec("gradio") is None:
        raise ValueError(f"exploring needs the extra `explore`: {install_advice('explore')}")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with listen(host, port) as listening:
        view = View(
            Inspector(load(checkpoint)),
            load_dataset(data),
            None if dense is None else Inspector(load(dense)),
        )
        page = make_page(view, view.importance(checkpoint))
        serve(page, listening, names(host, allowed_hosts))


if __name__ == "__main__":
    cli.run(main)
