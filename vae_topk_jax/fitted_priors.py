"""The priors that were fitted to one model's codes, in memory and on disk.

In the folder of a run, beside its checkpoints, and in a folder of model files:

    priors/flow/about.json          format, name, settings, the weights that it belongs to, and how
                                    far its images were from reconstructions
    priors/flow/prior.safetensors   its arrays
    priors/flow/MANIFEST            their checksums

A prior belongs to the weights whose codes it was fitted to; they are named by their SHA-256.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from vae_topk_jax import manifest
from vae_topk_jax.checkpoint_folder import CHECKPOINTS, is_checkpoint
from vae_topk_jax.files import new_folder
from vae_topk_jax.json_object import JsonObject
from vae_topk_jax.model_files import ABOUT as MODEL_FILES
from vae_topk_jax.priors.arrays import from_arrays, to_arrays
from vae_topk_jax.priors.prior import Prior
from vae_topk_jax.priors.registry import OWN, PRIORS, find_prior, name_of
from vae_topk_jax.tensor_files import read_all, write_tensors

FOLDER = "priors"
FORMAT_VERSION = 3
_ABOUT, _ARRAYS = "about.json", "prior.safetensors"
FILES = tuple(
    f"{FOLDER}/{name}/{file}" for name in PRIORS for file in (_ABOUT, _ARRAYS, manifest.NAME)
)


class Fitted(NamedTuple):
    """A prior and how it was fitted.

    Attributes:
        prior: the prior.
        settings: that it was fitted with, besides the defaults.
        distance: of its images from the reconstructions that it was fitted to
            (`Inference.fit_prior`).
    """

    prior: Prior
    settings: Mapping[str, Any]
    distance: float


class FittedPriors:
    """The priors of one model by name.

    Attributes:
        fitted: those that can be drawn from.
        refused: why each of the others cannot, such as one of other weights.

    Examples:
        >>> FittedPriors().find("flow")
        Traceback (most recent call last):
        ValueError: prior must be 'frequency' or one that was fitted, [], got 'flow'
    """

    def __init__(self) -> None:
        self.fitted: dict[str, Fitted] = {}
        self.refused: dict[str, str] = {}

    def add(self, fitted: Fitted) -> None:
        """Adds a prior, in place of an earlier one of its name.

        Raises:
            ValueError: its class is not registered.
        """
        name = name_of(fitted.prior)
        self.refused.pop(name, None)
        self.fitted[name] = fitted

    def find(self, name: str | None = None) -> Prior | None:
        """The prior of that name, or the one with the smallest distance; None for the system's own,
        which is also that of a model to which none was fitted.

        Raises:
            ValueError: there is none of that name, or it cannot be used.
        """
        if name == OWN:
            return None
        if name is None:
            if self.refused and not self.fitted:
                raise ValueError(next(iter(self.refused.values())))
            nearest = min(self.fitted.values(), key=lambda fitted: fitted.distance, default=None)
            return None if nearest is None else nearest.prior
        if name in self.refused:
            raise ValueError(self.refused[name])
        if name not in self.fitted:
            raise ValueError(
                f"prior must be {OWN!r} or one that was fitted, {[*self.fitted]}, got {name!r}"
            )
        return self.fitted[name].prior


def save_priors(priors: FittedPriors, path: Path | str, variables: Mapping[str, Any]) -> None:
    """Keeps all priors of a model beside it, each all of it or not at all; earlier ones of their
    names are replaced.

    Args:
        priors: of the model.
        path: the folder of its run, its folder of checkpoints, or one of them; or of its model
            files.
        variables: its weights and statistics.
    """
    folder, weights = _home(Path(path)), digest_of(variables)
    for name, (prior, settings, distance) in priors.fitted.items():
        about = {
            "format": FORMAT_VERSION,
            "prior": name,
            "settings": dict(settings),
            "distance": distance,
            "weights": weights,
        }
        with new_folder(folder / FOLDER / name, replace=True) as partial:
            write_tensors(partial / _ARRAYS, to_arrays(prior))
            (partial / _ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
            manifest.write_manifest(partial)


def read_priors(
    path: Path | str, variables: Mapping[str, Any], latent_dim: int, classes: int = 0
) -> FittedPriors:
    """The priors that were kept beside a model.

    Those of other weights or of an earlier format are refused when they are asked for.

    Args:
        path, variables: as in `save_priors`.
        latent_dim: D.
        classes: of the model.

    Raises:
        ValueError: files that are damaged or missing.
    """
    priors, folder = FittedPriors(), _home(Path(path))
    if not (folder / FOLDER).is_dir():
        return priors
    weights = digest_of(variables)
    for name in PRIORS:
        path = folder / FOLDER / name
        if not path.is_dir():
            continue
        manifest.verify(path)
        about = JsonObject.read(path / _ABOUT)
        version, why = about.fields.get("format"), ""
        if version != FORMAT_VERSION:
            why = f"has format {version!r}, this version reads {FORMAT_VERSION}"
        elif about.text("weights") != weights:
            why = "was fitted to other weights"
        if why:
            priors.refused[name] = f"{path} {why}: fit it again, or take prior={OWN!r}"
            continue
        prior = from_arrays(find_prior(about.text("prior")), read_all(path / _ARRAYS), path)
        _check_sizes(prior, latent_dim, classes, path)
        settings = about.object("settings").fields
        priors.add(Fitted(prior, settings, about.number("distance")))
    return priors


def _home(path: Path) -> Path:
    """The folder of the run whose checkpoints are at `path`; `path` itself where there are none."""
    path = path.resolve()
    if (path / MODEL_FILES).exists():
        return path
    if is_checkpoint(path):
        path = path.parent
    return path.parent if path.name == CHECKPOINTS else path


def _check_sizes(prior: Prior, latent_dim: int, classes: int, path: Path) -> None:
    """Refuses arrays that do not fit one another, before any of them is used."""
    try:
        class_1 = np.zeros(1, np.int32)
        drawn = jax.eval_shape(
            lambda prior, *asked: prior.sample(*asked), prior, jax.random.key(0), class_1
        )
        known = prior.classes
    except Exception as error:  # of many types, where arrays do not fit
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{path / _ARRAYS} holds no such prior: {reason}") from None
    if drawn.shape != (1, latent_dim):
        raise ValueError(
            f"{path / _ARRAYS} must be of codes of {latent_dim} latents, got {drawn.shape[1:]}"
        )
    if known not in (1, classes):
        raise ValueError(f"{path / _ARRAYS} must be of {classes} classes or none, got {known}")


def digest_of(variables: Mapping[str, Any]) -> str:
    """The SHA-256 of weights and statistics: names, types, shapes and values.

    Examples:
        >>> a, b = ({"params": {"w": np.full(2, value, np.float32)}} for value in (0.0, 1.0))
        >>> digest_of(a) == digest_of(a), digest_of(a) == digest_of(b)
        (True, False)
    """
    digest = hashlib.sha256()
    for name, leaf in sorted(flatten_dict(dict(variables), sep="/").items()):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
