"""The beta-VAE and the Top-K VAE by dimension, in PyTorch with all tensors in memory."""

import itertools
import math
from typing import Any

import numpy as np

from vae_topk_jax.config import Config
from vae_topk_jax.data import to_unit_float


class TorchRun:
    """A training run in PyTorch of the model that a configuration describes.

    The learning rate is constant and nothing is checked or recorded on the way, all to PyTorch's
    advantage.

    Args:
        config: of a "beta_vae", or of a "top_k_vae" by dimension that ranks by KL.
        images_NxHxWxC: uint8 training images.
        compiled: `torch.compile` for forward and backward pass, and Adam's fused kernel.
    """

    def __init__(self, config: Config, images_NxHxWxC: np.ndarray, compiled: bool = False):
        import torch

        # Plain numbers: `torch.compile` does not follow a configuration's properties.
        self._batch_size, self._beta = config.batch_size, config.beta
        self._is_sparse = config.model == "top_k_vae"
        if self._is_sparse:
            self._k, self._ema_decay = config.k, config.ema_decay
        device = "cuda" if torch.cuda.is_available() else "cpu"
        allow_tf32()
        x_NxCxHxW = np.moveaxis(to_unit_float(images_NxHxWxC), -1, 1)
        self._x_NxCxHxW = torch.from_numpy(np.ascontiguousarray(x_NxCxHxW)).to(device)
        self.modules = build_modules(config, x_NxCxHxW.shape[1:]).to(device)
        self._importance_D = torch.zeros(config.latent_dim, device=device)
        self._optimizer = torch.optim.Adam(
            self.modules.parameters(), config.learning_rate, fused=compiled
        )
        self._compute_loss = torch.compile(self._loss) if compiled else self._loss

    def epoch(self) -> float:
        """One pass over the images; the last loss."""
        import torch

        order_N = torch.randperm(len(self._x_NxCxHxW), device=self._x_NxCxHxW.device)
        for index_B in order_N.split(self._batch_size):
            loss, importance_D = self._compute_loss(self._x_NxCxHxW[index_B])
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            if self._is_sparse:
                self._importance_D.lerp_(importance_D, 1 - self._ema_decay)
        return float(loss.detach())

    def _loss(self, x_BxCxHxW: Any) -> tuple[Any, Any]:
        """The loss, and the importance of each dimension."""
        import torch

        h_BxF = self.modules["encoder"](x_BxCxHxW)
        mu_BxD, logvar_BxD = self.modules["mu"](h_BxF), self.modules["logvar"](h_BxF)
        z_BxD = mu_BxD + torch.exp(0.5 * logvar_BxD) * torch.randn_like(mu_BxD)
        kl_BxD = 0.5 * (mu_BxD.square() + logvar_BxD.exp() - 1 - logvar_BxD)
        importance_D = kl_BxD.detach().mean(0)
        if self._is_sparse:
            mask_D = torch.zeros_like(importance_D)
            mask_D[importance_D.topk(self._k).indices] = 1
            z_BxD = z_BxD * mask_D
        y_BxCxHxW = torch.sigmoid(self.modules["decoder"](z_BxD))
        reconstruction = (y_BxCxHxW - x_BxCxHxW).square().mean()
        return reconstruction + self._beta * kl_BxD.mean(), importance_D


def allow_tf32() -> None:
    """Float32 products on a GPU from operands rounded to TensorFloat-32, as XLA computes them."""
    import torch

    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")


def build_modules(config: Config, shape: tuple[int, ...]) -> Any:
    """encoder, mu, logvar and decoder (to logits), of the sizes of our own bodies.

    Args:
        config: body, widths and latent_dim are read.
        shape: (C, H, W).
    """
    from torch import nn

    features, encoder, decoder = (_conv if config.body == "conv" else _mlp)(config, shape)
    return nn.ModuleDict(
        {
            "encoder": nn.Sequential(*encoder),
            "mu": nn.Linear(features, config.latent_dim),
            "logvar": nn.Linear(features, config.latent_dim),
            "decoder": nn.Sequential(*decoder),
        }
    )


def _mlp(config: Config, shape: tuple[int, ...]) -> tuple[int, list[Any], list[Any]]:
    from torch import nn

    pixels = math.prod(shape)
    encoder, decoder = [nn.Flatten()], []
    sizes = [pixels, *config.widths]
    for inputs, outputs in itertools.pairwise(sizes):
        encoder += [nn.Linear(inputs, outputs), nn.ReLU()]
    sizes = [config.latent_dim, *reversed(config.widths)]
    for inputs, outputs in itertools.pairwise(sizes):
        decoder += [nn.Linear(inputs, outputs), nn.ReLU()]
    decoder += [nn.Linear(config.widths[0], pixels), nn.Unflatten(1, shape)]
    return config.widths[-1], encoder, decoder


def _conv(config: Config, shape: tuple[int, ...]) -> tuple[int, list[Any], list[Any]]:
    from torch import nn

    channels, height, width = shape
    scale = 2 ** len(config.widths)
    grid = (config.widths[-1], height // scale, width // scale)
    features = math.prod(grid)
    encoder, inputs = [], channels
    for outputs in config.widths:
        encoder += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.ReLU()]
        inputs = outputs
    decoder = [nn.Linear(config.latent_dim, features), nn.ReLU(), nn.Unflatten(1, grid)]
    for outputs in reversed(config.widths[:-1]):
        decoder += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.ReLU()]
        inputs = outputs
    decoder.append(nn.ConvTranspose2d(inputs, channels, 4, 2, 1))
    return features, [*encoder, nn.Flatten()], decoder
