"""The Inception FID of the literature, through torch-fidelity: the extra `inception`.

The weights are a local file; nothing is ever downloaded. torch is imported when it is used.
"""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from vae_topk_jax.extras import install_advice
from vae_topk_jax.metrics.frechet import frechet_distance

BATCH = 32
INSTALL = (
    "Inception FID needs torch and torch-fidelity, with builds of torch and torchvision that match:"
    f" {install_advice('inception')}"
)


def inception_fid(
    images_a_NxHxWxC: np.ndarray,
    images_b_MxHxWxC: np.ndarray,
    weights_path: str | os.PathLike[str],
) -> float:
    """FID: the Frechet distance between the 2048 Inception features of two sets of images.

    The network and its resizing are torch-fidelity's, which agree with the original TensorFlow
    ones; the distance is ours. Grey images are repeated to three channels. Comparable with other
    work only for the official weights and the same number of images, usually 10,000 or 50,000.

    Args:
        images_a_NxHxWxC: uint8, C = 1 or 3, N >= 2.
        images_b_MxHxWxC: uint8, C = 1 or 3, M >= 2.
        weights_path: A state dict of torch-fidelity's FeatureExtractorInceptionV3, as it publishes
            it: `weights-inception-2015-12-05-6726825d.pth`.

    Returns:
        The squared distance.

    Raises:
        ImportError: the extra is not installed.
        FileNotFoundError: there is no such weights file.
        ValueError: not uint8 images of 1 or 3 channels, or not the weights of this network.

    References:
        Heusel et al., "GANs trained by a two time-scale update rule", 2017 (arXiv:1706.08500).
        Obukhov et al., "High-fidelity performance metrics for generative models in PyTorch", 2020.
    """
    for name, images in (("images_a", images_a_NxHxWxC), ("images_b", images_b_MxHxWxC)):
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
            raise ValueError(
                f"{name} must be uint8 (N, H, W, 1 or 3), got {images.dtype} {images.shape}"
            )
    network = _network(Path(weights_path))
    return frechet_distance(
        _features(network, images_a_NxHxWxC), _features(network, images_b_MxHxWxC)
    )


def _network(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"weights_path must be a file of Inception weights, got {path}")
    try:
        import torch
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except (ImportError, RuntimeError) as error:  # RuntimeError: builds that do not match
        raise ImportError(f"{INSTALL} ({error})") from error
    # torch-fidelity unpickles whatever it is given: give it a copy of what was loaded safely.
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        copy = io.BytesIO()
        torch.save(state, copy)
        copy.seek(0)
        return FeatureExtractorInceptionV3(
            "inception", ["2048"], feature_extractor_weights_path=copy
        )
    except Exception as error:  # foreign bytes make the unpickler raise anything
        reason = str(error).split("\n", 1)[0]
        raise ValueError(
            f"weights_path must hold Inception weights, got {path}: {reason}"
        ) from error


def _features(network: Any, images_NxHxWxC: np.ndarray) -> np.ndarray:
    import torch

    features = []
    for start in range(0, len(images_NxHxWxC), BATCH):
        batch = images_NxHxWxC[start : start + BATCH]
        colour_Bx3xHxW = np.broadcast_to(batch, (*batch.shape[:3], 3)).transpose(0, 3, 1, 2)
        with torch.inference_mode():
            features.append(network(torch.from_numpy(colour_Bx3xHxW.copy()))[0].numpy())
    return np.concatenate(features)
