"""What a trainer is given: images, batches and labels, checked before anything compiles."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from vae_topk_jax.condition import Labels
from vae_topk_jax.config import Config
from vae_topk_jax.data.batches import Endless, Labelled
from vae_topk_jax.data.rows import Images
from vae_topk_jax.inference_inputs import check_range
from vae_topk_jax.likelihoods import OF_ANY_VALUE

_TAKE_ANY = f" (the likelihoods of any values are {', '.join(OF_ANY_VALUE)})"


def check_values(config: Config, x: np.ndarray | Array) -> None:
    """Refuses floating inputs with values that the configuration is not for.

    Raises:
        ValueError: values outside the range of the model, or of noise that is clipped.
    """
    if (input_range := config.system.input_range) is not None:
        check_range(x, input_range, _TAKE_ANY)
        return
    check_range(x, None)
    if config.train_noise and config.clip_noise:
        check_range(x, (0.0, 1.0), ": clip_noise must be False for others")


def check_examples(
    config: Config, images: Images | Endless, num_examples: int, image_shape: Sequence[int]
) -> None:
    """Refuses training images of another type, shape or number, and for a model with classes what
    makes batches.

    Raises:
        ValueError: says what was expected.
    """
    if isinstance(images, Endless):
        if images.image_shape != tuple(image_shape):
            raise ValueError(
                f"what makes batches must make images of shape {tuple(image_shape)}, "
                f"got {images.image_shape}"
            )
        if labels := labels_of(config):
            raise ValueError(
                f"{str(labels).split()[0]} must be 0 where batches are made, which have no labels, "
                f"got {labels}"
            )
        return
    expected = (num_examples, *image_shape)
    if images.dtype not in (np.uint8, np.float32) or images.shape != expected:
        raise ValueError(
            f"images must be uint8 or float32 of shape {expected}, "
            f"got {images.dtype} of shape {images.shape}"
        )


def checked_labels(
    config: Config, labels: ArrayLike | None, size: int, name: str = "labels"
) -> np.ndarray | None:
    """The labels of so many images; None for a model that is given none.

    Args:
        config: the configuration.
        labels: whole numbers (N,), attributes (N, A), or None.
        size: N.
        name: of the argument.

    Raises:
        ValueError: labels that are missing, superfluous or not those of the images.

    Examples:
        >>> checked_labels(Config(classes=10), None, size=60_000)
        Traceback (most recent call last):
        ValueError: labels must be given with classes 10, got none
    """
    expected = labels_of(config)
    if labels is None:
        if expected:
            raise ValueError(f"{name} must be given with {expected}, got none")
        return None
    if not expected:
        raise ValueError(
            f"{name} must be left out for a {config.model} without classes, "
            f"got {len(np.atleast_1d(labels))} of them"
        )
    return expected.check(name, labels, size)


def checked_batch(
    config: Config, batch: Any, image_shape: Sequence[int]
) -> tuple[np.ndarray | Array, np.ndarray | None]:
    """The images of a batch, any number of them, and their labels.

    Raises:
        ValueError: images of another type or shape, or labels as in `checked_labels`.
    """
    x, labels = images_of(batch), getattr(batch, "label_N", None)
    if x.dtype != np.float32 or x.shape[1:] != tuple(image_shape):
        raise ValueError(
            f"a batch must be float32 of shape (B, {', '.join(map(str, image_shape))}), "
            f"got {x.dtype} of shape {x.shape}"
        )
    return x, checked_labels(config, labels, len(x))


def labels_of(config: Config) -> Labels:
    """What the labels are that a model is given.

    Examples:
        >>> labels_of(Config(classes=10)), bool(labels_of(Config("vsc")))
        (Labels(classes=10, attributes=0), False)
    """
    system = config.system
    return Labels(getattr(system, "classes", 0), getattr(system, "attributes", 0))


def images_of(examples: Any) -> Any:
    """The images, without labels."""
    return examples.images if isinstance(examples, Labelled) else examples
