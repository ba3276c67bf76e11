"""Makes the golden checkpoint of the present format: `python -m tests.golden.make`.

What is here must load for ever: a new format gets a folder of its own and keeps reading this one.
"""

from pathlib import Path

import jax
import numpy as np

from vae_topk_jax import Config
from vae_topk_jax.checkpoint import save_checkpoint
from vae_topk_jax.inference import Inference
from vae_topk_jax.run_info import RunInfo

FOLDER = Path(__file__).parent
CONFIG = Config(latent_dim=3, k=1, widths=(4,), batch_size=8, epochs=1, sensitivity_every=2)


def main() -> None:
    images = np.asarray(jax.random.randint(jax.random.key(0), (32, 4, 4, 1), 0, 256), np.uint8)
    info = RunInfo(CONFIG, (4, 4, 1), {"source": "golden", "train": 32, "test": 0})
    (epoch,) = info.trainer.epochs(info.trainer.init(), images)
    save_checkpoint(FOLDER / "run", epoch.state, info)
    inputs = images[:5].astype(np.float32) / 255
    np.save(FOLDER / "images.npy", inputs)
    np.save(FOLDER / "codes.npy", np.asarray(Inference(epoch.state, info).encode(inputs)))


if __name__ == "__main__":
    main()
