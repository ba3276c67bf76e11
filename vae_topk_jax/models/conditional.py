"""What models of a condition share: the label of an image, where it is known."""

import dataclasses
from typing import Annotated

from annotated_types import Ge, Interval
from jax import Array

from vae_topk_jax.condition import Labels, conditioned, drop_labels
from vae_topk_jax.models.generator import Generator

LABEL_DROPOUT = 0.1


class Conditional(Generator):
    """A generator that can be told the class of its images, or attributes of them.

    Encoder and decoder see the label beside what else they see (`vae_topk_jax.condition`): the
    heads of the encoder beside its hidden layer, the decoder's first layer beside the codes. In
    training some labels are left out, so that the same model also serves images without them.

    References:
        Sohn, Lee & Yan, "Learning Structured Output Representation using Deep Conditional
        Generative Models", NeurIPS 2015. Ho & Salimans, "Classifier-Free Diffusion Guidance", 2022
        (labels left out).
    """

    classes: Annotated[int, Ge(0)] = dataclasses.field(default=0, kw_only=True)
    """How many classes the labels of the images have, which encoder and decoder are given; 0: they
    are given none."""
    attributes: Annotated[int, Ge(0)] = dataclasses.field(default=0, kw_only=True)
    """How many numbers describe each image, in place of classes: best of mean 0 and variance 1."""
    label_dropout: Annotated[float, Interval(ge=0, le=1)] = dataclasses.field(
        default=LABEL_DROPOUT, kw_only=True
    )
    """Share of the training images whose label is left out."""

    def check(self) -> None:
        super().check()
        if self.classes and self.attributes:
            raise ValueError(
                f"attributes must be 0 with classes {self.classes}, got {self.attributes}"
            )
        if not self._labels and self.label_dropout != LABEL_DROPOUT:
            raise ValueError(
                f"label_dropout must be left at {LABEL_DROPOUT} without classes, "
                f"got {self.label_dropout}"
            )

    def decode(self, z_BxD: Array, label_B: Array | None = None) -> Array:
        """The mean of the inputs given codes and labels; None: unknown."""
        return self.restored(self.rule.mean(self.decoder(self.seen(z_BxD, label_B))))

    def seen(
        self, z_BxD: Array, label_B: Array | None = None, mask_BxD: Array | None = None
    ) -> Array:
        """What the decoder's layers see: `decoder_input`, and the label."""
        return self.conditioned(self.decoder_input(z_BxD, mask_BxD), label_B)

    def conditioned(self, features_BxF: Array, label_B: Array | None) -> Array:
        """What a layer sees that knows the label."""
        return conditioned(features_BxF, label_B, self._labels)

    @property
    def _labels(self) -> Labels:
        return Labels(self.classes, self.attributes)

    def _shown(self, label_B: Array | None) -> Array | None:
        """The labels of a training batch, but for those that are left out."""
        if label_B is None or not self.label_dropout:
            return label_B
        return drop_labels(self.make_rng("latent"), label_B, self.label_dropout)
