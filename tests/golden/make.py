"""Makes the golden checkpoint of the present version: `python -m tests.golden.make`.

What is here must load for ever: a version that writes other files gets a checkpoint of its own, and
keeps reading those of the others. `run`, `codes.npy` and `state.sha256` are of version 0.1.0.
"""

import hashlib
from pathlib import Path

import jax
import numpy as np

from tests.helpers.runs import bits
from vae_topk_jax import Config, __version__
from vae_topk_jax.checkpoint import save_checkpoint
from vae_topk_jax.inference import Inference
from vae_topk_jax.run_info import RunInfo

FOLDER = Path(__file__).parent
CONFIG = Config(latent_dim=3, k=1, widths=(4,), batch_size=8, epochs=1, sensitivity_every=2)


def digest(state) -> str:
    """Of the bits of every array of a state."""
    return hashlib.sha256(b"".join(bits(state))).hexdigest()


def main() -> None:
    images = np.asarray(jax.random.randint(jax.random.key(0), (32, 4, 4, 1), 0, 256), np.uint8)
    info = RunInfo(CONFIG, (4, 4, 1), {"source": "golden", "train": 32, "test": 0})
    (epoch,) = info.trainer.epochs(info.trainer.init(), images)
    save_checkpoint(FOLDER / f"run-{__version__}", epoch.state, info)
    codes = Inference(epoch.state, info).encode(np.load(FOLDER / "images.npy"))
    np.save(FOLDER / f"codes-{__version__}.npy", np.asarray(codes))
    (FOLDER / f"state-{__version__}.sha256").write_text(digest(epoch.state) + "\n")


if __name__ == "__main__":
    main()
