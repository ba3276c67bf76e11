"""The folder of a trained model's files, and what its `config.json` holds.

    encoder.stablehlo   images (N, H, W, C) -> codes (N, D); N is symbolic, the weights are inside
    decoder.stablehlo   codes -> images
    model.safetensors   the weights by themselves, see `vae_topk_jax.weights`
    config.json         configuration, image shape and range, source of the data
    MANIFEST            the SHA-256 checksums of all of these

and whatever else its owner adds in the files of `BESIDES`. Nothing in it is unpickled.
"""

import json
from pathlib import Path
from typing import Any

from vae_topk_jax import manifest

FORMAT_VERSION = 1
ABOUT = "config.json"
BESIDES = ("README.md", ".git", ".gitattributes", ".cache")


def read_about(folder: Path) -> dict[str, Any]:
    """The object in config.json of a folder of model files, all of which are verified first.

    Raises:
        ValueError: files that are damaged, missing or of another format.
        FileNotFoundError: no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    manifest.verify(folder, BESIDES)
    path = folder / ABOUT
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        version = about["format"]
        sizes = [about["step"], about["config"]["latent_dim"], *about["image_shape"]]
        low, high = about["input_range"] or (0.0, 1.0)
        is_sound = all(type(size) is int for size in sizes) and low < high
    except (OSError, ValueError, KeyError, TypeError):
        is_sound = False
    if not is_sound:
        raise ValueError(f"{path} is missing or not the configuration of a model")
    if version != FORMAT_VERSION:
        raise ValueError(f"{path} has format {version}, this version reads {FORMAT_VERSION}")
    return about
