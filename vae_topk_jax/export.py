"""The programs of a trained model as StableHLO files, which jax alone loads and runs.

Written into a folder of model files, see `vae_topk_jax.model_files`.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax import export as jax_export
from numpy.typing import ArrayLike

from vae_topk_jax import manifest
from vae_topk_jax.condition import NO_LABEL, Labels, given, of_chunk, unknown
from vae_topk_jax.files import check_path, new_folder
from vae_topk_jax.inference_inputs import (
    CHUNK,
    REFINED_CHUNK,
    check_images,
    check_latents,
    in_chunks,
)
from vae_topk_jax.model_files import ABOUT, FORMAT_VERSION, read_about
from vae_topk_jax.priors.prior import CHUNK as PRIOR_CHUNK
from vae_topk_jax.priors.prior import draw_chunk
from vae_topk_jax.programs import read_program, try_programs

if TYPE_CHECKING:
    from vae_topk_jax.inference import Inference

PLATFORMS = ("cpu", "cuda", "tpu")
_KEYS = "threefry2x32"  # the kind of key that an exported program draws with
PROGRAMS = {"encoder": "encode", "decoder": "decode"}
GENERATOR = "generator"  # draws codes of a fitted prior

Part = Literal["encoder", "decoder", "both"]


def export_model(
    inference: "Inference", folder: Path | str, part: Part = "both", *, refine: int = 0
) -> Path:
    """Writes the model files of a trained model, all of them or none.

    Where a prior was fitted to its codes, the program that draws codes from the best one goes with
    the decoder, and all of them with the weights.

    Args:
        inference: the model; codes are posterior means.
        folder: made here.
        part: which programs; the weights are written with each.
        refine: passes of refinement that the encoder makes, as in `Inference.encode`.

    Returns:
        The folder.

    Raises:
        ValueError: an unknown part, a path that is not UTF-8, or passes of refinement without an
            encoder or that the model does not take.
        FileExistsError: the folder is there already.
    """
    from vae_topk_jax.fitted_priors import save_priors
    from vae_topk_jax.training_inputs import labels_of
    from vae_topk_jax.weights import save_weights

    if part not in (*PROGRAMS, "both"):
        raise ValueError(f"part must be one of {[*PROGRAMS, 'both']}, got {part!r}")
    inference.check_refine(refine)
    if refine and part == "decoder":
        raise ValueError(f"refine must be 0 for the decoder alone, got {refine}")
    check_path("folder", Path(folder))
    about = {
        "format": FORMAT_VERSION,
        "step": int(inference.state.step),
        "input_range": inference.input_range,
        **({"refine": refine} if refine else {}),
        **inference.info.to_dict(),
    }
    inputs = {"encoder": inference.info.image_shape, "decoder": (inference.config.latent_dim,)}
    labels = labels_of(inference.config)
    with new_folder(Path(folder)) as partial:
        for name in PROGRAMS if part == "both" else (part,):
            program = _lower(_function(inference, name, refine), *_batch_of(inputs[name], labels))
            _path(partial, name).write_bytes(program.serialize())
        if part != "encoder" and inference.priors.find() is not None:
            asked = [labels.of((PRIOR_CHUNK,))] if labels.classes else []
            data = jax.ShapeDtypeStruct((2,), jnp.uint32)
            program = _lower(_sampler(inference), data, *asked)
            _path(partial, GENERATOR).write_bytes(program.serialize())
        save_weights(partial, inference.variables)
        (partial / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        save_priors(inference.priors, partial, inference.variables)
        manifest.write_manifest(partial)
    return Path(folder)


def _function(inference: "Inference", name: str, refine: int) -> Callable[..., Any]:
    """What a program computes, of a batch and, for a model with labels, these."""
    model, variables = inference.model, inference.variables
    if name == "encoder" and refine:
        from vae_topk_jax.refinement import refined_codes

        return lambda x, *label: refined_codes(model, variables, x, refine, *label)
    return lambda x, *label: model.apply(
        variables, x, method=PROGRAMS[name], **given(*label or (None,))
    )


def _sampler(inference: "Inference") -> Callable[..., Any]:
    """A chunk of codes of the best fitted prior, from the data of a key; for a model with classes
    from these as well, and with those that were drawn."""
    prior = inference.priors.find()
    assert prior is not None

    def sample(data: Array, *asked: Array) -> Any:
        class_N = asked[0] if asked else jnp.full(PRIOR_CHUNK, NO_LABEL, jnp.int32)
        drawn = draw_chunk(prior, jax.random.wrap_key_data(data, impl=_KEYS), class_N)
        codes = drawn.z_NxD
        if prior.before_mask:
            codes = inference.model.apply(inference.variables, codes, method="sparsify")
        return (codes, drawn.class_N) if asked else codes

    return sample


def _batch_of(shape: tuple[int, ...], labels: Labels) -> list[jax.ShapeDtypeStruct]:
    """Examples of that shape, any number of them, and their labels if they have any."""
    batch = jax_export.symbolic_shape(", ".join(["N", *map(str, shape)]))
    label = [labels.of(batch[:1])] if labels else []
    return [jax.ShapeDtypeStruct(batch, jnp.float32), *label]


def _lower(function: Callable[..., Any], *inputs: jax.ShapeDtypeStruct) -> jax_export.Exported:
    with _without_paths():
        return jax_export.export(jax.jit(function), platforms=PLATFORMS)(*inputs)


@contextlib.contextmanager
def _without_paths() -> Iterator[None]:
    """Keeps the paths of this machine's source files out of the programs that are lowered."""
    limit = jax.config.jax_traceback_in_locations_limit
    jax.config.update("jax_traceback_in_locations_limit", 0)
    try:
        yield
    finally:
        jax.config.update("jax_traceback_in_locations_limit", limit)


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.stablehlo"


class Exported:
    """The functions of an exported model; batches are served as by `Inference`.

    Attributes:
        about: the object in config.json.
        programs: `jax.export.Exported` by "encoder", "decoder" and "generator", whichever were
            exported.
    """

    def __init__(self, about: dict[str, Any], programs: dict[str, jax_export.Exported]):
        self.about = about
        self.programs = programs
        self._compiled = {name: jax.jit(program.call) for name, program in programs.items()}

    def __getstate__(self) -> dict[str, Any]:
        """What `pickle` and `copy.deepcopy` keep: the programs as they are written to files."""
        programs = {name: program.serialize() for name, program in self.programs.items()}
        return {"about": self.about, "programs": programs}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        programs = {name: jax_export.deserialize(x) for name, x in kept["programs"].items()}
        self.__init__(kept["about"], programs)  # type: ignore[misc]

    @property
    def latent_dim(self) -> int:
        """D."""
        return self.about["config"]["latent_dim"]

    @property
    def refine(self) -> int:
        """The passes of refinement that the encoder makes."""
        return self.about.get("refine", 0)

    @property
    def labels(self) -> Labels:
        """What the `label` of `encode` and `decode` is."""
        return _labels(self.about)

    def encode(self, x: Array | np.ndarray, *, label: ArrayLike | None = None) -> Array:
        """Codes (N, D) of images (N, H, W, C).

        Args:
            x: the images.
            label: the class of all of them, or of each (N,), or their attributes, (A,) or (N, A);
                None: it is unknown.

        Raises:
            ValueError: images or labels that the model does not take, or no encoder in the folder.
        """
        x = check_images(x, self.about["image_shape"], self.about["input_range"])
        size = REFINED_CHUNK if self.refine else CHUNK
        return self._run("encoder", x, self._labels_of(label, len(x)), size)

    def decode(self, z: Array | np.ndarray, *, label: ArrayLike | None = None) -> Array:
        """Images (N, H, W, C) from codes (N, D); `label` as in `encode`.

        Raises:
            ValueError: another shape, labels as in `encode`, or no decoder in the folder.
        """
        z = check_latents(z, self.latent_dim)
        return self._run("decoder", z, self._labels_of(label, len(z)))

    def reconstruct(self, x: Array | np.ndarray, *, label: ArrayLike | None = None) -> Array:
        """decode(encode(x)); errors as there."""
        return self.decode(self.encode(x, label=label), label=label)

    def generate(self, key: Array, n: int, *, label: ArrayLike | None = None) -> Array:
        """n images (n, H, W, C) of the best fitted prior, as `Inference.generate` makes them.

        Args:
            key: typed key of JAX's own kind, threefry2x32.
            n: how many.
            label: as in `encode`.

        Raises:
            ValueError: n below 1, another kind of key, labels as in `encode`, or a folder without a
                decoder or to whose model no prior was fitted.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        if str(jax.random.key_impl(key)) != _KEYS:
            raise ValueError(f"key must be of kind {_KEYS}, got {jax.random.key_impl(key)}")
        self._check_program(GENERATOR)
        label_N, sample = self._labels_of(label, n), self._compiled[GENERATOR]
        chunks = []
        for number, start in enumerate(range(0, n, PRIOR_CHUNK)):
            data = jax.random.key_data(jax.random.fold_in(key, number))
            asked = of_chunk(label_N, start, PRIOR_CHUNK)
            chunks.append(sample(data, asked) if self.labels.classes else (sample(data), asked))
        codes, labels = zip(*chunks, strict=True)
        if label_N is not None:
            label_N = np.concatenate(labels)[:n]
        return self._run("decoder", jnp.concatenate(codes)[:n], label_N)

    def _check_program(self, name: str) -> None:
        if name not in self.programs:
            raise ValueError(f"the folder of the exported model has no {name}")

    def _run(
        self, name: str, x: Array | np.ndarray, label_N: np.ndarray | None, size: int = CHUNK
    ) -> Array:
        self._check_program(name)

        def serve(chunk: Array, start: int) -> Array:
            labels = () if label_N is None else (of_chunk(label_N, start, len(chunk)),)
            return self._compiled[name](chunk, *labels)

        return in_chunks(serve, x, size)

    def _labels_of(self, label: ArrayLike | None, size: int) -> np.ndarray | None:
        """What was asked for, checked, or unknown labels; None for a model without any."""
        label_N = self.labels.check_asked(label, size)
        if self.labels and label_N is None:
            return np.asarray(unknown(self.labels.of((size,))))
        return label_N


def _labels(about: Mapping[str, Any]) -> Labels:
    config = about["config"]
    return Labels(config.get("classes", 0), config.get("attributes", 0))


def load_exported(folder: Path | str, *, verify: bool = True) -> Exported:
    """The programs in a folder of model files. Needs jax (and flatbuffers) only.

    A program that calls code outside of itself is refused. Parsing one does not run it, calling
    does: from strangers take `vae_topk_jax.load_weights`, which reads numbers only.

    Args:
        folder: written by `export_model`.
        verify: compare the files with their manifest, and parse the programs in a process of its
            own first, which a forged one crashes alone.

    Raises:
        ValueError: files that are damaged, missing or of another format, anything that is no
            regular file; no program; a program that is not of the model in config.json.
        FileNotFoundError: no such folder.
    """
    folder = Path(folder)
    about = read_about(folder, verify=verify)
    images, codes = tuple(about["image_shape"]), (about["config"]["latent_dim"],)
    labels = _labels(about)
    label = [labels.shape] if labels else []
    shapes = {
        "encoder": [images, *label, codes],
        "decoder": [codes, *label, images],
        GENERATOR: [(), (), codes, ()] if labels.classes else [(), codes],
    }
    paths = {name: path for name in shapes if (path := _path(folder, name)).exists()}
    if not paths:
        raise ValueError(f"{folder} holds no program: export an encoder or a decoder")
    if verify:
        try_programs([*paths.values()])
    return Exported(about, {name: read_program(path, shapes[name]) for name, path in paths.items()})
