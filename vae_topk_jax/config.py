"""The configuration of one training run: a system and how it is trained."""

import dataclasses
import difflib
import json
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt

from vae_topk_jax.fields import Field, fields_of
from vae_topk_jax.json_object import JsonObject
from vae_topk_jax.models.registry import find_model, name_of, owners, settings_of
from vae_topk_jax.models.system import System
from vae_topk_jax.retired import had_no_effect, refuse_retired


@dataclasses.dataclass(frozen=True)
class Training:
    """How a system is trained, whichever it is."""

    train_noise: Annotated[float, Ge(0)] = 0.0
    """Train to denoise: each input gets Gaussian noise of sigma ~ U(0, train_noise)."""
    clip_noise: bool = True
    """Clip noisy inputs to [0, 1]; without it the model is given any values, at inference too."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """Optimizer, with optax's defaults beside the learning rate."""
    learning_rate: Annotated[float, Gt(0)] = 2e-3
    """Peak learning rate."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning rate during training: constant, or a cosine to zero."""
    warmup_steps: Annotated[int, Ge(0)] = 0
    """Steps of linear warm-up from zero."""
    batch_size: Annotated[int, Ge(1)] = 128
    """Images per step."""
    epochs: Annotated[int, Ge(1)] = 15
    """Passes over the training images; the last partial batch of a pass is left out."""
    seed: Annotated[int, Ge(0)] = 0
    """Decides initial weights, the order of the images and all noise."""


@dataclasses.dataclass(frozen=True, init=False, repr=False)
class Config(Training):
    """Everything that decides the numbers of a run, besides the data.

    The fields are those of one system (the linen module's own, see `vae_topk_jax.models`) and those
    of `Training`. Both are given by name, and read as attributes: `config.k`, `config.epochs`.
    Frozen, checked when made, and equal to itself after `Config.from_json(config.to_json())`.

    Attributes:
        system: the linen module, not yet bound to a shape of images.

    Args:
        model: the system: a name in `vae_topk_jax.models.MODELS`, or a linen module of one of its
            classes, whose fields an editor and a type checker know.
        fields: of the system and of `Training`, by name; defaults elsewhere.

    Raises:
        ValueError: a value outside its range, a field of another system, a field that was removed
            or one that never was; the field is named.

    Examples:
        >>> config = Config(model="top_k_vae", latent_dim=256, k=4, epochs=3)
        >>> config.k, config.epochs
        (4, 3)
        >>> from vae_topk_jax.models import TopKVAE
        >>> Config(TopKVAE(latent_dim=256, k=4), epochs=3) == config
        True
        >>> Config(model="beta_vae", vsc_prior="fixed")
        Traceback (most recent call last):
        ValueError: vsc_prior is not a field of beta_vae; it belongs to vsc
    """

    system: System = dataclasses.field(kw_only=True)

    def __init__(self, /, model: str | System = "top_k_vae", **fields: Any) -> None:
        system = model if isinstance(model, System) else find_model(model)()
        kind, model_name = type(system), name_of(system)
        own, training = settings_of(kind), fields_of(Training)
        for name, value in fields.items():
            refuse_retired(name, value)
            if name not in own and name not in training:
                raise ValueError(_unknown(name, model_name))
        for name in kind.fixed:
            if (value := getattr(system, name)) != (only := getattr(kind, name)):
                raise ValueError(f"{name} of {model_name} must be {only}, got {value!r}")
        values = {name: own[name].checked(fields.get(name, getattr(system, name))) for name in own}
        object.__setattr__(self, "system", kind(parent=None, **values))
        for name, field in training.items():
            object.__setattr__(self, name, field.checked(fields.get(name, field.default)))
        self.system.check()

    def __getattr__(self, name: str) -> Any:
        """A field of the system."""
        system = self.__dict__.get("system")
        if system is None or name not in settings_of(type(system)):
            raise AttributeError(f"this configuration has no field {name!r}")
        return getattr(system, name)

    def __repr__(self) -> str:
        changes = "".join(f", {name}={value!r}" for name, value in self.changed().items())
        return f"Config({self.model!r}{changes}, seed={self.seed})"

    @property
    def model(self) -> str:
        """The name of the system."""
        return name_of(self.system)

    def replace(self, **changes: Any) -> "Config":
        """A copy with some fields changed; with another `model`, its fields of the same names keep
        their values and its other ones have their defaults."""
        model = changes.pop("model", self.model)
        own = {} if isinstance(model, System) else settings_of(find_model(model))
        shared = own.keys() | fields_of(Training).keys()
        kept = {name: value for name, value in self._fields().items() if name in shared}
        return Config(model, **kept | changes)

    def changed(self) -> dict[str, Any]:
        """The fields that are not at their defaults, but for the seed.

        Examples:
            >>> Config(k=4, seed=3).changed()
            {'k': 4}
        """
        defaults = Config(self.model, seed=self.seed)._fields()
        return {name: value for name, value in self._fields().items() if value != defaults[name]}

    def to_dict(self) -> dict[str, Any]:
        """The name of the system, its fields and those of `Training`, as JSON types."""
        fields = {"model": self.model} | self._fields()
        return {name: list(x) if type(x) is tuple else x for name, x in fields.items()}

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Config":
        """The configuration with these fields; errors as when one is made."""
        return cls(**fields)

    @classmethod
    def from_saved(cls, fields: dict[str, Any]) -> "Config":
        """The configuration in a file that this version or an earlier one wrote.

        Version 0.1.0 wrote the fields of every system. Those of the others, and those that were
        removed, are left out where they had no effect.

        Raises:
            ValueError: a removed field that had an effect (named, with the last version that reads
                it), or a bad value.
        """
        model = fields.get("model", "top_k_vae")
        own = settings_of(find_model(model))
        return cls(
            **{
                name: value
                for name, value in fields.items()
                if not (had_no_effect(name, value, model) or (owners(name) and name not in own))
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Config":
        """The inverse of `to_json`; errors as in `from_dict`."""
        return cls.from_dict(JsonObject.parse(text).fields)

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in fields_for(self.model)}


def fields_for(model: str) -> dict[str, Field]:
    """The fields of a configuration of that system, by name: its own and those of `Training`.

    Raises:
        ValueError: no such system.

    Examples:
        >>> "vsc_prior" in fields_for("vsc"), "vsc_prior" in fields_for("beta_vae")
        (True, False)
    """
    return settings_of(find_model(model)) | fields_of(Training)


def _unknown(field: str, model: str) -> str:
    """What is wrong with a field that is neither the system's nor of `Training`."""
    if of := owners(field):
        return f"{field} is not a field of {model}; it belongs to {', '.join(of)}"
    known = fields_for(model)
    close = difflib.get_close_matches(field, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
    name = field if field.isidentifier() else repr(field)
    return f"{name} is not a field of a configuration: {hint}"
