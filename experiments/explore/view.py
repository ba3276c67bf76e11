"""What the page of `experiments.explore` shows of a model, as HTML; needs no web library."""

import dataclasses
import functools
import io
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np

from experiments.explore import markup
from experiments.explore.input_pictures import InputPictures, square
from experiments.explore.inspection import Inspector, checked_entry, checked_latent
from experiments.explore.markup import Card, Tile
from experiments.explore.state import State
from experiments.measures.robustness import noisy
from experiments.reporting.figures.style import STYLE
from experiments.reporting.figures.training_curves import plot_importance
from experiments.study.shown_inputs import ShownInputs, run_folder
from vae_topk_jax.gallery.activity import Activity, observe
from vae_topk_jax.gallery.pictures import Scale, signed
from vae_topk_jax.gallery.thumbnails import are_pictures
from vae_topk_jax.metrics.image import psnr
from vae_topk_jax.runs.importance_log import IMPORTANCE, read_importance

_CARDS = 48  # of the strongest latents of an input
_OBSERVED = 10_000  # inputs that the details of a latent rest on
_STEPS = 7  # along the range of a latent


class Shown(NamedTuple):
    """What the page shows of one input.

    Attributes:
        tiles: the input, with noise, and what the models make of that.
        edited: what the code decodes to, which a drag changes.
        cards: the latents of the code.
        choice: how the mask chose it.
        detail: one latent.
        link: to this state.
        z_D: the code, without the clamps.
    """

    tiles: str
    edited: str
    cards: str
    choice: str
    detail: str
    link: str
    z_D: np.ndarray


class View:
    """A model, some inputs, and perhaps a dense model beside it.

    Args:
        model: the model.
        inputs: what it is looked at with.
        dense: another model of the same inputs.
        has_gallery: whether the server has the model's gallery at gallery/.

    Raises:
        ValueError: inputs of another shape than a model's.
    """

    def __init__(
        self,
        model: Inspector,
        inputs: ShownInputs,
        dense: Inspector | None = None,
        has_gallery: bool = False,
    ):
        shape = tuple(inputs.images.shape[1:])
        for inspector in filter(None, (model, dense)):
            if (taken := tuple(inspector.model.info.image_shape)) != shape:
                raise ValueError(f"the model must be one of inputs {shape}, got one of {taken}")
        self.model, self.dense, self.has_gallery = model, dense, has_gallery
        self.inputs, self.pictures = inputs, InputPictures(inputs)
        self.show(self.pictures.input(0), State(0, 0.5, latent=0))  # compiles what is left

    @functools.cached_property
    def activity(self) -> Activity:
        """What every latent does on the first 10,000 inputs."""
        images, labels = self.inputs.images[:_OBSERVED], self.inputs.labels
        return observe(self.model.model, images, None if labels is None else labels[:_OBSERVED])

    @property
    def summary(self) -> str:
        """What is looked at, in one paragraph of HTML."""
        config, info = self.model.model.config, self.model.model.info
        line = (
            f"{config.system.summary}, step {int(self.model.model.state.step):,} of "
            f"{info.trainer.total_steps:,}, trained on {info.data.get('source', 'unknown images')}"
        )
        if info.data_digest != self.inputs.digest:
            line += f"; the inputs here are others: {self.inputs.source}"
        link = ' <a href="gallery/index.html">All latents</a>' if self.has_gallery else ""
        return f"<p><b>{config.model}</b>, {escape(line)}.{link}</p>"

    def show(self, x_HxWxC: np.ndarray, state: State) -> Shown:
        """Everything about an input with noise: x + sigma eps, eps ~ N(0, I), clipped to [0, 1] if
        a model takes nothing else."""
        models = filter(None, (self.model, self.dense))
        has_range = any(inspector.model.input_range is not None for inspector in models)
        noisy_HxWxC = noisy(x_HxWxC[None], state.sigma, state.seed, clip=has_range)[0]
        z_D, choice = self.model.code(noisy_HxWxC), self.model.choice(noisy_HxWxC)

        def compared(title: str, y_HxWxC: np.ndarray) -> Tile:
            return Tile(title, self.pictures.pixels(y_HxWxC), self._error(x_HxWxC, y_HxWxC))

        shown = [Tile("input", self.pictures.pixels(x_HxWxC))]
        if state.sigma:
            shown.append(compared(f"with noise, sigma {state.sigma:g}", noisy_HxWxC))
        shown.append(compared(self.name, self.model.image(z_D)))
        if self.dense is not None:
            config, code_D = self.dense.model.config, self.dense.code(noisy_HxWxC)
            title = f"{config.model}, D = {config.latent_dim}"
            shown.append(compared(title, self.dense.image(code_D)))
        chart = markup.bars(choice.rank_D, choice.active_D, choice.level)
        said = f"<p>{escape(choice.rule)}. Bars: {escape(choice.ranked_by)}.</p>"
        return Shown(
            tiles=markup.tiles(shown),
            edited=self._edited(z_D, state),
            cards=self.cards(z_D, state),
            choice=f'<div class="choice">{said}{chart}</div>',
            detail=self.detail(z_D, state),
            link=_link(state),
            z_D=z_D,
        )

    def _error(self, x_HxWxC: np.ndarray, y_HxWxC: np.ndarray) -> str:
        """PSNR of images in [0, 1], else the squared error over that of zeros."""
        if are_pictures(x_HxWxC.shape) and self.pictures.scale == Scale(0.0, 1.0):
            ratio = float(psnr(x_HxWxC[None], np.clip(y_HxWxC, 0.0, 1.0)[None])[0])
            return f"PSNR {ratio:.1f} dB" if np.isfinite(ratio) else ""
        share = np.square(x_HxWxC - y_HxWxC).sum() / max(float(np.square(x_HxWxC).sum()), 1e-30)
        return f"error {100 * share:.3g} %"

    @property
    def name(self) -> str:
        """The model in a few words."""
        config = self.model.model.config
        return f"{config.model}, {config.system.summary}"

    def edit(
        self, z_D: np.ndarray, state: State, latent: Any, value: Any
    ) -> tuple[str, str, State]:
        """The decoded output, the link and the state after a latent was clamped.

        Raises:
            ValueError: as `inspection.checked_entry`.
        """
        state = state.clamped(*checked_entry(self.model.latents, latent, value))
        return self._edited(z_D, state), _link(state), state

    def _edited(self, z_D: np.ndarray, state: State) -> str:
        applied_D = state.applied(z_D)
        note = f"{np.count_nonzero(applied_D)} latents active"
        if state.clamps:
            note += f", {len(state.clamps)} set"
        tile = Tile("your latents", self.pictures.pixels(self.model.image(applied_D)), note)
        return markup.tiles([tile], "tiles edited")

    def cards(self, z_D: np.ndarray, state: State) -> str:
        """The latents that are set, then those of the input, the strongest first; where that leaves
        room, those in use that this input does not activate are folded below."""
        applied_D = state.applied(z_D)
        ranked = np.argsort(-np.abs(z_D), kind="stable")
        active = ranked[z_D[ranked] != 0][:_CARDS]
        first = list(dict.fromkeys([*state.clamps, *active.tolist()]))
        in_use = self.model.model.active_dims
        others = [d for d in in_use.tolist() if d not in set(first)][:_CARDS]
        shown = self._cards(first, applied_D, state)
        if not others:
            return shown
        folded = self._cards(others, applied_D, state)
        return f"{shown}<details><summary>Others in use</summary>{folded}</details>"

    def _cards(self, latents: list[int], applied_D: np.ndarray, state: State) -> str:
        return markup.cards(
            [
                Card(d, float(applied_D[d]), self._limit(d), self._image(d), d in state.clamps)
                for d in latents
            ]
        )

    def _limit(self, latent: int) -> float:
        """How far from zero a latent goes in the inputs; 1 where it is never active."""
        low, high = self.activity.lowest_D[latent], self.activity.highest_D[latent]
        return float(np.ceil(100 * max(high, -low)) / 100) or 1.0

    @functools.lru_cache(maxsize=4096)  # noqa: B019 there is one view in a process
    def _image(self, latent: int) -> str:
        """What the latent changes in the output of zeros, at its strongest value."""
        low, high = self.activity.lowest_D[latent], self.activity.highest_D[latent]
        code_2xD = np.zeros((2, self.model.latents), np.float32)
        code_2xD[1, latent] = (high if high >= -low else low) or 1.0
        nothing, alone = np.asarray(self.model.model.decode(code_2xD))
        change = alone - nothing
        return markup.picture(
            signed(change if are_pictures(change.shape) else square(change)), f"latent {latent}"
        )

    def open(self, z_D: np.ndarray, state: State, latent: Any) -> tuple[str, str, State]:
        """The details of a latent, the link and the state that shows them.

        Raises:
            ValueError: as `inspection.checked_latent`.
        """
        latent = checked_latent(self.model.latents, latent)
        state = dataclasses.replace(state, latent=latent)
        return self.detail(z_D, state), _link(state), state

    def detail(self, z_D: np.ndarray, state: State) -> str:
        """The inputs that activate a latent most, of both signs, and this input along its range."""
        if (latent := state.latent) is None:
            return "<p>Click the picture of a latent for the inputs that activate it most.</p>"
        activity, pictures = self.activity, self.pictures
        parts = [
            f"<h3>Latent {latent}</h3><p>Active in "
            f"{100 * activity.frequency_D[latent]:.3g} % of {activity.inputs:,} inputs."
        ]
        if self.has_gallery:
            parts.append(f' <a href="gallery/index.html#latent={latent}">Its page</a>')
        parts.append("</p>")
        for choice, title in (("highest", "Highest"), ("lowest", "Lowest")):
            found = activity.of(choice, latent)
            if len(found.index_N):
                buttons = markup.thumbnails(
                    (int(i), pictures.preview(int(i)), f"{pictures.title(int(i))}: {value:.3g}")
                    for i, value in zip(*found, strict=True)
                )
                parts.append(f"<h4>{title}</h4>{buttons}")
        values = np.linspace(activity.lowest_D[latent], activity.highest_D[latent], _STEPS)
        codes_SxD = np.repeat(state.applied(z_D)[None], _STEPS, axis=0)
        codes_SxD[:, latent] = values
        outputs = np.asarray(self.model.model.decode(codes_SxD))
        along = zip(values, outputs, strict=True)
        strip = [Tile(f"{value:.3g}", pictures.pixels(output)) for value, output in along]
        parts.append(f"<h4>This input along its range</h4>{markup.tiles(strip, 'tiles strip')}")
        return f'<div class="detail">{"".join(parts)}</div>'

    def importance(self, checkpoint: Path) -> str:
        """The importance over training, where the run of the checkpoint kept it."""
        run = run_folder(checkpoint)
        history = None if run is None else read_importance(run)
        if history is None:
            said = f"This run kept no {IMPORTANCE}, so its importance cannot be shown."
            return f'<div class="importance">{said}</div>'
        history["active_dims"] = self.model.model.active_dims
        with matplotlib.rc_context(STYLE):
            figure = plot_importance({self.name: {"importance": history}})
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=150)
        image = markup.embedded(buffer.getvalue(), "importance over training")
        return f'<div class="importance">{image}</div>'


def _link(state: State) -> str:
    if state.index is None:
        return '<div class="link">A link to this state would not hold the drawing.</div>'
    return f'<div class="link"><a href="{escape(state.query)}">Link to this state</a></div>'
