"""What the trainer, inference and the experiments ask of every model."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from annotated_types import Ge
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.checks import check_image_shape
from vae_topk_jax.priors.independent import sample_prior
from vae_topk_jax.standardization import Rule, Standardization
from vae_topk_jax.statistics import TopKStatistics


def check_k(k: int, latent_dim: int) -> None:
    """Refuses more active latents than there are.

    Raises:
        ValueError: names both.

    Examples:
        >>> check_k(9, 8)
        Traceback (most recent call last):
        ValueError: k must be at most latent_dim, 8, got 9
    """
    if k > latent_dim:
        raise ValueError(f"k must be at most latent_dim, {latent_dim}, got {k}")


class System(nn.Module):
    """A model of images (or of other vectors, as images of shape (1, 1, F)) with a latent code.

    A system gives `loss`, `encode` and `decode`; the rest has defaults that fit a dense one. Its
    methods are used through `apply`, as pure functions of the variables.

    The fields of a system are the settings that `vae_topk_jax.Config` has for it; the text below
    each is what `--help` shows.

    Attributes:
        is_sparse: whether some latents are exactly zero in a code.
        fixed: the names of fields that a configuration cannot set.
        image_shape: (H, W, C); (1, 1, F) for vectors.
    """

    is_sparse: ClassVar[bool] = True
    fixed: ClassVar[frozenset[str]] = frozenset()

    image_shape: Sequence[int] = ()
    latent_dim: Annotated[int, Ge(1)] = 64
    """D, the number of latent dimensions."""
    compute_dtype: Literal["float32", "bfloat16"] = dataclasses.field(
        default="float32", kw_only=True
    )
    """Type of the layers' arithmetic; parameters, statistics and losses stay float32."""
    standardize: Rule = dataclasses.field(default="none", kw_only=True)
    """Shift and scale of the inputs, from the training split, undone on the way out: none; "mean",
    minus the mean; "norm", over the root of the mean squared norm; "feature", each value to mean 0
    and variance 1; "channel", each channel likewise. Losses are those of the standardised
    inputs."""

    def check(self) -> None:
        """Refuses settings that exclude each other.

        Raises:
            ValueError: names the setting.
        """

    def check_shape(self, image_shape: Sequence[int]) -> None:
        """Refuses a shape of inputs that the system cannot have.

        Raises:
            ValueError: names the setting that does not fit it.
        """
        check_image_shape(image_shape)

    def setup(self) -> None:
        self.check_shape(self.image_shape)
        if self.standardize != "none":
            self.standardization = Standardization(self.image_shape)

    @property
    def input_range(self) -> tuple[float, float] | None:
        """The smallest and the largest value of an input; None: any finite one."""
        return None

    @property
    def summary(self) -> str:
        """The sizes of the code in a few words."""
        return f"D = {self.latent_dim}"

    @property
    def dtype(self) -> jnp.dtype:
        """The type of the layers' arithmetic."""
        return jnp.dtype(self.compute_dtype)

    def standardized(self, x_BxHxWxC: Array) -> Array:
        """The inputs as the layers see them, shifted and scaled."""
        return x_BxHxWxC if self.standardize == "none" else self.standardization(x_BxHxWxC)

    def restored(self, x_BxHxWxC: Array) -> Array:
        """The inverse of `standardized`."""
        return x_BxHxWxC if self.standardize == "none" else self.standardization.undo(x_BxHxWxC)

    def loss(
        self,
        x_BxHxWxC: Array,
        target_BxHxWxC: Array,
        valid_B: Array | None = None,
        *,
        train: bool,
        progress: ArrayLike = 1.0,
    ) -> tuple[Array, dict[str, Array]]:
        """The training loss and its terms, averaged over the valid examples.

        Args:
            x_BxHxWxC: what the encoder sees; a noisy image in denoising.
            target_BxHxWxC: what the decoder must reconstruct.
            valid_B: marks the real examples of a padded batch.
            train: False: as at inference, without randomness.
            progress: fraction of training done, from 0 to 1; schedules are functions of it.

        Returns:
            loss, {"loss", "reconstruction", ...}.
        """
        raise NotImplementedError

    def encode(
        self, x_BxHxWxC: Array, *, sample: bool = False, use_running_average: bool = True
    ) -> Array:
        """The codes z_BxD that are decoded at inference.

        Args:
            x_BxHxWxC: the inputs.
            sample: draw z from the posterior (needs the rng "latent") instead of taking its mean.
            use_running_average: False lets this batch choose its own latents (for study).
        """
        raise NotImplementedError

    def decode(self, z_BxD: Array) -> Array:
        """Inputs from codes."""
        raise NotImplementedError

    def __call__(self, x_BxHxWxC: Array, *, use_running_average: bool = True) -> Array:
        """Reconstructions; what `init` traces. Arguments as in `encode`."""
        return self.reconstruct(x_BxHxWxC, use_running_average=use_running_average)

    def reconstruct(
        self, x_BxHxWxC: Array, *, sample: bool = False, use_running_average: bool = True
    ) -> Array:
        """decode(encode(x)); arguments as in `encode`."""
        z_BxD = self.encode(x_BxHxWxC, sample=sample, use_running_average=use_running_average)
        return self.decode(z_BxD)

    def latents(self, x_BxHxWxC: Array) -> Array:
        """The latents that `sparsify` makes codes of: the codes themselves in a dense model."""
        return self.encode(x_BxHxWxC)

    def sparsify(self, z_BxD: Array) -> Array:
        """z_BxD through the mask of inference: z itself in a dense model."""
        return z_BxD

    def frequency(self, statistics: TopKStatistics) -> Array:
        """frequency_D, how often each latent is active at inference.

        Args:
            statistics: those that training left.
        """
        return statistics.frequency

    def prior(self, n: int, frequency_D: Array) -> Array:
        """n codes from the prior (needs the rng "latent").

        Args:
            n: how many.
            frequency_D: how often each dimension is active.
        """
        return sample_prior(self.make_rng("latent"), n, frequency_D)

    def start(self, params: dict, x_NxHxWxC: Array, key: jax.Array) -> dict:
        """The initial parameters, once some training inputs, standardised, have been seen."""
        return params

    @staticmethod
    def optimizer(inner: optax.GradientTransformation) -> optax.GradientTransformation:
        """The optimizer that keeps the constraints of the parameters, around a usual one."""
        return inner
