"""A trained model as jitted functions of images."""

import dataclasses
import functools
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from vae_topk_jax.condition import given, of_chunk
from vae_topk_jax.config import Config
from vae_topk_jax.fitted_priors import Fitted, FittedPriors, read_priors
from vae_topk_jax.inference_inputs import REFINED_CHUNK, check_images, check_latents, in_chunks
from vae_topk_jax.model_files import ABOUT
from vae_topk_jax.models import System
from vae_topk_jax.models.generator import Generator
from vae_topk_jax.priors.prior import Examples, Prior, check_classes, draw_labelled
from vae_topk_jax.priors.registry import check_settings, find_prior, suited_to
from vae_topk_jax.refinement import check_passes, refined_codes
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.selection import apply_mask
from vae_topk_jax.statistics import DEAD, find_statistics
from vae_topk_jax.steps import TrainState
from vae_topk_jax.training_inputs import labels_of
from vae_topk_jax.weights import restore_weights

_DRAWN = ("encode", "reconstruct")  # whose latents may be drawn from the posterior
_COMPARED = 2048  # images of a prior, with as many reconstructions


class Inference:
    """A trained model: jitted `encode`, `reconstruct`, `decode` and `generate`.

    Latents are chosen by the running statistics and are posterior means, so that what an image
    gives does not depend on its batch mates. Batches may have any size: they are served in chunks
    of up to 1,024, padded to a power of two, so that no new size is compiled for itself.

    A model with `classes` takes a `label` in all of them, one for all examples or one of each (N,);
    without it, the class is unknown.

    Attributes:
        model: the linen module.
        state: its weights and statistics.
        info: configuration, image shape and data source of the run.
        latent_key: if given, latents are drawn from the posterior with this key instead.
        priors: those that were fitted to its codes.

    Args:
        state, info, latent_key: see above.
        copy: keep a copy of the state, whose memory training that goes on from it donates to the
            next step. False saves that memory where none goes on.

    Raises:
        ValueError: the model's running average has seen no batch yet.
    """

    def __init__(
        self,
        state: TrainState,
        info: RunInfo,
        latent_key: Array | None = None,
        *,
        copy: bool = True,
    ):
        self.model: System = info.trainer.model
        self.state = jax.tree.map(jnp.copy, state) if copy else state
        self.info = info
        self.latent_key = latent_key
        self.priors = FittedPriors()
        self._programs: dict[str, Callable[..., Any]] = {}
        self._statistics = find_statistics(state.batch_stats)
        if self._statistics is not None and int(self._statistics.count) == 0:
            raise ValueError(
                "the running average has seen no batch yet, so it cannot choose dimensions: "
                "train the model first"
            )

    def __getstate__(self) -> dict[str, Any]:
        """What `pickle` and `copy.deepcopy` keep: weights, configuration and key."""
        keys = {"rng": self.state.rng, "latent": self.latent_key}
        return {
            "state": dataclasses.replace(self.state, rng=None),
            "keys": {n: jax.random.key_data(key) for n, key in keys.items() if key is not None},
            "info": self.info,
            "priors": self.priors,
        }

    def __setstate__(self, kept: dict[str, Any]) -> None:
        keys = jax.tree.map(jax.random.wrap_key_data, kept["keys"])
        state = dataclasses.replace(kept["state"], rng=keys["rng"])
        self.__init__(state, kept["info"], keys.get("latent"), copy=False)  # type: ignore[misc]
        self.priors = kept["priors"]

    @property
    def variables(self) -> dict[str, Any]:
        """What `model.apply` takes: params and batch_stats."""
        return self.state.variables

    def with_k(self, k: int) -> "Inference":
        """The same weights with another number of latents, for a model trained with `nested`.

        Raises:
            ValueError: the model was not, or k is outside [1, D].
        """
        if not getattr(self.model, "nested", False):
            raise ValueError(
                f"with_k needs a model trained with nested=True, got k {k} for another"
            )
        info = dataclasses.replace(self.info, config=self.config.replace(k=k))
        return Inference(self.state, info, self.latent_key, copy=False)

    @property
    def config(self) -> Config:
        """The configuration that the model was trained with."""
        return self.info.config

    @functools.cached_property
    def frequency(self) -> Array:
        """frequency_D, how often each dimension is active: ones for a dense model, the mask for a
        model that selects dimensions, else the running average of training."""
        if self._statistics is None:
            return jnp.ones(self.config.latent_dim)
        return self.model.frequency(self._statistics)

    @functools.cached_property
    def active_dims(self) -> np.ndarray:
        """The indices of the dimensions in use, ascending: active in one image of 1,000 or more."""
        return np.flatnonzero(np.asarray(self.frequency) >= DEAD)

    @property
    def input_range(self) -> tuple[float, float] | None:
        """The smallest and the largest value that the model is given; None: any finite one, as for
        a model whose noise is not clipped."""
        return self.model.input_range if self.config.clip_noise else None

    def encode(
        self, x: Array | np.ndarray, *, refine: int = 0, label: ArrayLike | None = None
    ) -> Array:
        """Codes (N, D) of images (N, H, W, C).

        Args:
            x: floating, in the `input_range`; as they come, where the model standardises its
                inputs.
            refine: passes of `vae_topk_jax.refinement` after the encoder, each of which takes as
                long as about D + 12 images take to be decoded; for models with a decoder network.
            label: the class of all images, or of each (N,), for a model with `classes`; attributes
                (A,) or (N, A) for one with `attributes`.

        Raises:
            ValueError: another shape, an integer type, values outside the range or not finite;
                passes of a model that cannot be refined, or whose latents are drawn; labels of
                another type or number, outside [0, classes - 1] or of a model without classes.
        """
        x = self._check_images(x)
        self.check_refine(refine)
        if not refine:
            return self._in_chunks("encode", x, label)
        if "refine" not in self._programs:
            self._programs["refine"] = jax.jit(functools.partial(refined_codes, self.model))
        program, label_N = self._programs["refine"], self._check_label(label, len(x))

        def serve(chunk: Array, start: int) -> Array:
            return program(self.variables, chunk, refine, of_chunk(label_N, start, len(chunk)))

        return in_chunks(serve, x, REFINED_CHUNK)

    def check_refine(self, passes: int) -> None:
        """Refuses passes of refinement that this model does not take.

        Raises:
            ValueError: no whole number from 0 on, or more than 0 for a model without a decoder
                network or with a `latent_key`.
        """
        check_passes(passes)
        if passes and not isinstance(self.model, Generator):
            raise ValueError(
                f"refine must be 0 for {self.config.model}, which has no decoder network, "
                f"got {passes}"
            )
        if passes and self.latent_key is not None:
            raise ValueError(
                f"refine must be 0 where latents are drawn from the posterior, got {passes}"
            )

    def latents(
        self, x: Array | np.ndarray, *, all_dims: bool = False, label: ArrayLike | None = None
    ) -> Array:
        """Latents (N, D) of images before the mask, zero in the dimensions that are not in use.

        Args:
            x, label: as in `encode`.
            all_dims: whether dimensions that are not in use keep their latents too.

        Raises:
            ValueError: as in `encode`.
        """
        mu_NxD = self._in_chunks("latents", self._check_images(x), label)
        return mu_NxD if all_dims else apply_mask(mu_NxD, self.frequency >= DEAD)

    def sparsify(self, z: Array | np.ndarray) -> Array:
        """Codes (N, D) from latents (N, D): the mask of inference, chosen by z alone.

        Where more than the latents makes the mask, by slot and where scores rest on the variance,
        `latents` gives codes; what is drawn like them keeps its zeros here, and by slot and per
        sample no more than K entries pass.

        Raises:
            ValueError: another shape.
        """
        return self._in_chunks("sparsify", check_latents(z, self.config.latent_dim))

    def reconstruct(
        self, x: Array | np.ndarray, *, refine: int = 0, label: ArrayLike | None = None
    ) -> Array:
        """Images (N, H, W, C) from images, in their units; arguments and errors as in `encode`."""
        if refine:
            return self.decode(self.encode(x, refine=refine, label=label), label=label)
        return self._in_chunks("reconstruct", self._check_images(x), label)

    def decode(self, z: Array | np.ndarray, *, label: ArrayLike | None = None) -> Array:
        """Images (N, H, W, C) from codes (N, D).

        Raises:
            ValueError: another shape, or labels as in `encode`.
        """
        return self._in_chunks("decode", check_latents(z, self.config.latent_dim), label)

    def fit_prior(
        self,
        images: Array | np.ndarray,
        prior: str | None = None,
        *,
        label: ArrayLike | None = None,
        key: Array | None = None,
        **settings: Any,
    ) -> Prior:
        """Fits a prior to training images' codes, with a `label` to those of each class.

        Of the priors that are fitted `generate` draws from the one whose images are nearest to the
        reconstructions of these, by the kernel distance of 2,048 of both (Binkowski et al. 2018).

        Args:
            images: as in `encode`.
            prior: its name in `vae_topk_jax.priors.registry.PRIORS`; by default "autoregressive" by
                slot and "flow" elsewhere.
            label: as in `encode`. With classes, there must be images of each, and `generate` then
                draws codes of the class asked for. Attributes are not modelled by the prior.
            key: typed key; by default that of the run's seed.
            settings: of the prior, such as `steps` of "flow".

        Raises:
            ValueError: no such prior or setting, images or labels that `encode` refuses, or a class
                without images.
        """
        if prior is not None:
            check_settings(prior, settings)
        x = self._check_images(images)
        label_N = self._check_label(label, len(x))
        if (class_N := self._classes_of(label_N)) is not None:
            check_classes(class_N, labels_of(self.config).classes)
        codes, latents = (method(x, label=label_N) for method in (self.encode, self.latents))
        examples = Examples.of(codes, latents, class_N)
        if prior is None:
            check_settings(prior := suited_to(examples), settings)
        key = jax.random.key(self.config.seed) if key is None else key
        fitted = find_prior(prior).fit(examples, key, **settings)
        distance = self._distance(fitted, examples.codes_NxD, label_N)
        self.priors.add(Fitted(fitted, settings, distance))
        return fitted

    def _distance(self, prior: Prior, codes_NxD: np.ndarray, label_N: np.ndarray | None) -> float:
        """The kernel distance of a prior's images from those of some codes, value by value."""
        from vae_topk_jax.metrics.frechet import kernel_distance

        row_M = np.linspace(0, len(codes_NxD) - 1, min(_COMPARED, len(codes_NxD))).astype(int)
        label_M = None if label_N is None else label_N[row_M]
        drawn_MxD, _ = self._drawn(prior, jax.random.key(self.config.seed), len(row_M), label_M)
        images = (self.decode(z, label=label_M) for z in (drawn_MxD, codes_NxD[row_M]))
        return kernel_distance(*(np.asarray(x).reshape(len(row_M), -1) for x in images))

    def _drawn(
        self, prior: Prior | None, key: Array, n: int, label: ArrayLike | None
    ) -> tuple[Array, np.ndarray | None]:
        """n codes of a fitted prior, or of the system's own, and the labels to decode them with."""
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        label_N = self._check_label(label, n)
        if prior is None:
            codes = self._program("prior")(
                self.variables, n=n, frequency_D=self.frequency, rngs={"latent": key}
            )
            return codes, label_N
        z_NxD, class_N = draw_labelled(prior, key, n, self._classes_of(label_N))
        if prior.classes > 1:
            label_N = np.asarray(class_N)
        return self.sparsify(z_NxD) if prior.before_mask else z_NxD, label_N

    def _classes_of(self, label_N: np.ndarray | None) -> np.ndarray | None:
        """The labels, for a model whose labels are classes."""
        return label_N if labels_of(self.config).classes else None

    def sample_codes(
        self, key: Array, n: int, prior: str | None = None, *, label: ArrayLike | None = None
    ) -> Array:
        """The codes (n, D) of which `generate` makes images; arguments and errors as there."""
        return self._drawn(self.priors.find(prior), key, n, label)[0]

    def generate(
        self, key: Array, n: int, prior: str | None = None, *, label: ArrayLike | None = None
    ) -> Array:
        """n images decoded from codes of a prior.

        Args:
            key: typed key, `jax.random.key(seed)`.
            n: how many images; the codes of a fitted prior do not depend on it.
            prior: one that was fitted, or "frequency", the system's own: in most N(0, I) with each
                dimension active as often as in training. By default the best that was fitted, or
                the system's own.
            label: as in `encode`. A prior that was fitted with classes draws codes of them, and
                without a label draws that as well, as often as in training; the codes of any other
                prior do not depend on it.

        Raises:
            ValueError: n below 1; a prior that was not fitted, or to codes of other weights; labels
                as in `encode`.
        """
        codes, label_N = self._drawn(self.priors.find(prior), key, n, label)
        return self.decode(codes, label=label_N)

    def gallery(self, images: Any, out: Path | str, **options: Any) -> Path:
        """Writes a static site with a page for every latent; see `vae_topk_jax.gallery`.

        Args:
            images: the inputs that are looked at, (N, H, W, C), uint8 or floating, or `Rows`.
            out: the folder to make; an earlier gallery there is replaced.
            options: of `GalleryOptions`: labels, source, previews, history, against, meta, metrics,
                examples.

        Returns:
            The path of the start page, which a browser opens as a file.

        Raises:
            ValueError: inputs or options that do not fit the model, or a folder that holds anything
                else.
        """
        from vae_topk_jax.gallery.options import GalleryOptions
        from vae_topk_jax.gallery.site import write_gallery

        return write_gallery(self, images, Path(out), GalleryOptions(**options))

    def push_to_hub(
        self,
        repo: str,
        *,
        metrics: Mapping[str, float] = MappingProxyType({}),
        public: bool = False,
        endpoint: str | None = None,
    ) -> str:
        """Uploads the model files and a card, as one commit (extra `hub`).

        Args:
            repo: OWNER/NAME; made if it is not there.
            metrics: measured of the model on test images, for the card.
            public: whether a repository that is made now may be seen by everybody.
            endpoint: address of another hub.

        Returns:
            The address of the commit.

        Raises:
            ValueError: no name of a repository.
            OSError: the hub cannot be reached, or refuses.
        """
        from vae_topk_jax import hub
        from vae_topk_jax.export import export_model
        from vae_topk_jax.model_card import write_card

        hub.check_repo(repo)
        with tempfile.TemporaryDirectory() as parent:
            folder = export_model(self, Path(parent) / repo.rpartition("/")[2])
            write_card(folder, self, metrics, repo=repo)
            return hub.push(folder, repo, public=public, endpoint=endpoint)

    def _program(self, method: str) -> Callable[..., Any]:
        """`model.apply` of that method, compiled."""
        if method not in self._programs:
            apply = functools.partial(self.model.apply, method=method)
            self._programs[method] = jax.jit(apply, static_argnames=("n", "sample"))
        return self._programs[method]

    def _in_chunks(
        self, method: str, x: Array | np.ndarray, label: ArrayLike | None = None
    ) -> Array:
        program, label_N = self._program(method), self._check_label(label, len(x))

        def serve(chunk: Array, start: int) -> Array:
            condition = given(of_chunk(label_N, start, len(chunk)))
            if self.latent_key is None or method not in _DRAWN:
                return program(self.variables, chunk, **condition)
            rngs = {"latent": jax.random.fold_in(self.latent_key, start)}
            return program(self.variables, chunk, sample=True, rngs=rngs, **condition)

        return in_chunks(serve, x)

    def _check_label(self, label: ArrayLike | None, size: int) -> np.ndarray | None:
        return labels_of(self.config).check_asked(label, size)

    def _check_images(self, x: Array | np.ndarray) -> Array | np.ndarray:
        return check_images(x, self.info.image_shape, self.input_range)


def load(path: Path | str, *, verify: bool = True) -> Inference:
    """The trained model in a run, a checkpoint or a folder of model files, and its fitted priors.

    Args:
        path: a run's folder, its folder of checkpoints, or one of them: the newest there; or a
            folder that `export_model` wrote, of which the weights are read.
        verify: compare every file with its SHA-256 first.

    Raises:
        ValueError: nothing of the kind there, damaged files, or a model without a single training
            step.
    """
    if (Path(path) / ABOUT).exists():
        return _with_priors(path, restore_weights(path, verify=verify))
    from vae_topk_jax.checkpoint import restore_checkpoint

    return _with_priors(path, restore_checkpoint(path, verify=verify))


def load_weights(folder: Path | str) -> Inference:
    """The trained model in a folder of model files, as `load` gives it from a checkpoint.

    Raises:
        ValueError: files that are damaged, missing or of another format; tensors that are not those
            of the configuration, by name.
        FileNotFoundError: no such folder.
    """
    return _with_priors(folder, restore_weights(folder))


def from_pretrained(
    repo: str,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
    cache_dir: Path | str | None = None,
) -> Inference:
    """The trained model in a repository of the Hugging Face hub (extra `hub`).

    Its files are downloaded once for each commit and compared with their checksums; the weights are
    read, which are numbers alone, and nothing is run.

    Args:
        repo: OWNER/NAME.
        revision: a commit, a tag or a branch; a commit never moves.
        endpoint: address of another hub.
        cache_dir: in place of VAE_TOPK_CACHE, or else of the user's cache folder.

    Raises:
        ValueError: files of more than 2,000 MB or that are damaged, or no name of a repository.
        OSError: the hub cannot be reached, or has no such files.
    """
    from vae_topk_jax.hub import cached

    folder = cached(repo, revision=revision, endpoint=endpoint, cache_dir=cache_dir)
    return load_weights(folder)


def _with_priors(path: Path | str, restored: tuple[TrainState, RunInfo]) -> Inference:
    inference = Inference(*restored, copy=False)
    config = inference.config
    inference.priors = read_priors(
        path, inference.variables, config.latent_dim, labels_of(config).classes
    )
    return inference
