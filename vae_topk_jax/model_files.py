"""The folder of a trained model's files, and what its `config.json` holds.

    encoder.stablehlo   images (N, H, W, C) -> codes (N, D); N is symbolic, the weights are inside
    decoder.stablehlo   codes -> images
    generator.stablehlo a key -> 128 codes of the best prior that was fitted, if one was
    priors/             the priors that were fitted, see `vae_topk_jax.fitted_priors`
    model.safetensors   the weights by themselves, see `vae_topk_jax.weights`
    config.json         configuration, image shape and range, source of the data
    MANIFEST            the SHA-256 checksums of all of these

and whatever else its owner adds in the files of `BESIDES`. Nothing in it is unpickled.
"""

from pathlib import Path
from typing import Any

from vae_topk_jax import manifest
from vae_topk_jax.foreign import regular_files
from vae_topk_jax.json_object import JsonObject

FORMAT_VERSION = 1
ABOUT, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
BESIDES = (CARD, ".git", ".gitattributes", ".cache")


def read_about(folder: Path, *, verify: bool = True) -> dict[str, Any]:
    """The object in config.json of a folder of model files.

    Args:
        folder: the folder.
        verify: compare all files with their manifest first.

    Raises:
        ValueError: files that are damaged, missing or of another format, anything that is no
            regular file, a field of config.json that cannot be; by name.
        FileNotFoundError: no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    if verify:
        manifest.verify(folder, BESIDES)
    else:
        regular_files(folder)
    path = folder / ABOUT
    about = JsonObject.read(path)
    if (version := about.fields.get("format")) != FORMAT_VERSION:
        raise ValueError(f"{path} has format {version!r}, this version reads {FORMAT_VERSION}")
    try:
        about.integer("step")
        about.shape("image_shape")
        about.interval("input_range")
        if "refine" in about.fields:
            about.integer("refine")
        about.object("data")
        config = about.object("config")
        config.integer("latent_dim", least=1)
        if "classes" in config.fields:
            config.integer("classes")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return about.fields
