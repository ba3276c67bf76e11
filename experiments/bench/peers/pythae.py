"""The beta-VAE in pythae: its model, its data loader and its trainer around our layers."""

import logging
import tempfile
from typing import Any

import numpy as np

from experiments.bench.peers.pytorch import allow_tf32, build_modules
from vae_topk_jax.config import Config
from vae_topk_jax.data import to_unit_float


class PythaeRun:
    """A training run of pythae's `BaseTrainer`, without its progress bar.

    Its losses are summed where ours are averaged, which costs as much.
    """

    def __init__(self, config: Config, images_NxHxWxC: np.ndarray):
        import torch
        from pythae.data.datasets import BaseDataset
        from pythae.models import BetaVAE, BetaVAEConfig
        from pythae.trainers import BaseTrainer, BaseTrainerConfig
        from pythae.trainers.training_callbacks import CallbackHandler

        allow_tf32()
        logging.getLogger(BaseTrainer.__module__).setLevel(logging.WARNING)
        x_NxCxHxW = torch.from_numpy(np.moveaxis(to_unit_float(images_NxHxWxC), -1, 1).copy())
        shape = tuple(x_NxCxHxW.shape[1:])
        self._folder = tempfile.TemporaryDirectory(prefix="bench-pythae-")
        model = BetaVAE(
            BetaVAEConfig(input_dim=shape, latent_dim=config.latent_dim, beta=config.beta),
            *_layers(config, shape),
        )
        self._trainer = BaseTrainer(
            model,
            BaseDataset(x_NxCxHxW, torch.zeros(len(x_NxCxHxW))),
            training_config=BaseTrainerConfig(
                output_dir=self._folder.name,
                learning_rate=config.learning_rate,
                per_device_train_batch_size=config.batch_size,
            ),
        )
        self._trainer.prepare_training()
        self._trainer.callback_handler = CallbackHandler([], model)
        self._epoch = 0

    def epoch(self) -> float:
        """One pass over the images; the mean loss."""
        self._epoch += 1
        return float(self._trainer.train_step(self._epoch))


def _layers(config: Config, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Our layers as pythae's encoder and decoder."""
    import torch
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    modules = build_modules(config, shape)

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.mu, self.logvar = modules["encoder"], modules["mu"], modules["logvar"]

        def forward(self, x_BxCxHxW: Any) -> Any:
            h_BxF = self.body(x_BxCxHxW)
            return ModelOutput(embedding=self.mu(h_BxF), log_covariance=self.logvar(h_BxF))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.body = modules["decoder"]

        def forward(self, z_BxD: Any) -> Any:
            return ModelOutput(reconstruction=torch.sigmoid(self.body(z_BxD)))

    return Encoder(), Decoder()
