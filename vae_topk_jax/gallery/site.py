"""A gallery on the disk: one page, its scripts, its data and its pictures. No server is needed.

    index.html          the start page, and the page of a latent at index.html#latent=17
    assets/             its style and scripts
    data/summary.js     a number or two of every latent
    data/records-*.js   what the page of a latent says, 64 latents to a file
    data/comparison.js  the latents of the other model
    pictures/           sheets of pictures in WebP

Data are scripts, because a page at a file:// address may load scripts, but not read files. Nothing
of it refers to another machine, which the page's content security policy also forbids.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2
import numpy as np
from numpy.typing import NDArray

from vae_topk_jax.data.rows import Images
from vae_topk_jax.files import new_folder
from vae_topk_jax.gallery import pictures
from vae_topk_jax.gallery.activity import CHOICES
from vae_topk_jax.gallery.drawing import STEPS, draw
from vae_topk_jax.gallery.findings import Findings
from vae_topk_jax.gallery.options import GalleryOptions
from vae_topk_jax.gallery.summary import (
    BLOCK,
    DEFINITIONS,
    comparison_of,
    describe,
    facts_of,
    relation_of,
    summary_of,
)
from vae_topk_jax.gallery.thumbnails import Sheets, are_pictures, pictures_of, scale_of

if TYPE_CHECKING:
    from vae_topk_jax.inference import Inference


SUMMARY: Final = "data/summary.js"
_BUDGET = 25e6  # bytes of all pictures
_SAMPLE = 64  # inputs, and an eighth as many latents, that tell how large pictures are
_TEMPLATES = Path(__file__).parent / "templates"
_ASSETS = (
    "gallery.css",
    "gallery.js",
    "drawing.js",
    "latent.js",
    "colours.js",
    "map.js",
    "comparison.js",
)


def write_gallery(
    model: "Inference", images: Images, out: Path, options: GalleryOptions | None = None
) -> Path:
    """Writes a static site with a page for every latent.

    Args:
        model: the model.
        images: the inputs that are looked at, (N, H, W, C), uint8 or floating, or `Rows`.
        out: the folder to make; an earlier gallery there is replaced.
        options: what else is shown.

    Returns:
        The path of the start page.

    Raises:
        ValueError: options that do not fit, inputs that are not the model's, or a folder that
            holds anything else.
    """
    options = options or GalleryOptions()
    out = Path(out)
    if out.exists() and not (out / SUMMARY).is_file() and (out.is_file() or any(out.iterdir())):
        raise ValueError(f"out must be a new folder or hold a gallery, got {out}")
    if images.shape[1:] != tuple(model.info.image_shape):
        raise ValueError(
            f"images must have shape (N, {', '.join(map(str, model.info.image_shape))}), "
            f"got {images.shape}"
        )
    options.check(model, images)
    findings = Findings.of(model, images, options)
    with new_folder(out, replace=True) as folder:
        _Writer(findings, folder).write()
    return out / "index.html"


class _Writer:
    """Writes the findings into a folder."""

    def __init__(self, findings: Findings, folder: Path):
        self.findings, self.folder, self.options = findings, folder, findings.options
        self.model = findings.model
        for name in ("assets", "data", "pictures"):
            (folder / name).mkdir()
        self.sheets: dict[str, Sheets] = {}
        self.example_N = self._examples()
        self._plan_sheets()

    def write(self) -> None:
        findings = self.findings
        if "examples" in self.sheets:
            examples = pictures_of(self.shown_images, self.example_N)
            self.sheets["examples"].write_all(self.folder, examples)
        slot = {int(index): number for number, index in enumerate(self.example_N)}
        block: list[dict[str, Any]] = []
        for latent, record in enumerate(findings.records()):
            for found in record.get("examples", {}).values():
                for pair in found:
                    pair += self._shown(pair[0], slot)
            block.append(record)
            if len(block) == BLOCK or latent == self.model.config.latent_dim - 1:
                self._put(f"records-{latent // BLOCK:03}", block)
                block = []
        card = self._write_drawings(findings, "cards", "along")
        if findings.other is not None:
            card_of_other = self._write_drawings(findings.other, "others", None)
            self._put("comparison", comparison_of(findings, card_of_other))
        self._put("summary", summary_of(findings, card, self.sheets))
        self._write_page()

    def _examples(self) -> NDArray[np.int64]:
        """The inputs that stand on a page, each once, in the order of the latents."""
        of = self.findings.activity.of
        alive = self.findings.alive.tolist()
        found = [of(choice, d).index_N for d in alive for choice in CHOICES]
        index_N = np.concatenate([np.zeros(0, np.int64), *found])
        _, first = np.unique(index_N, return_index=True)
        return index_N[np.sort(first)]

    def _plan_sheets(self) -> None:
        """Decides which pictures there are, and of which size: smaller ones where all of them
        would take more than the budget, as far as a few of each kind tell."""
        findings, shape = self.findings, tuple(self.model.info.image_shape)
        kinds: dict[str, tuple[int, list[NDArray[np.uint8]]]] = {}
        if self.options.texts is None and are_pictures(self.shown_images.shape[1:]):
            first = list(pictures_of(self.shown_images, self.example_N[:_SAMPLE]))
            kinds["examples"] = len(self.example_N), first
        if are_pictures(shape):
            kinds["cards"] = len(findings.alive), []
            kinds["along"] = len(findings.alive) * self.outputs, []
            for change, outputs in self._drawn(findings, _few(findings.alive), findings.bases):
                kinds["cards"][1].append(change)
                kinds["along"][1].extend(outputs)
            if (other := findings.other) is not None:
                drawn = self._drawn(other, _few(other.alive), [])
                kinds["others"] = len(other.alive), [change for change, _ in drawn]
        kinds = {name: (count, few) for name, (count, few) in kinds.items() if few}
        total = sum(count * pictures.bytes_each(few) for count, few in kinds.values())
        share = min(1.0, _BUDGET / max(total, 1.0))
        for name, (_, few) in kinds.items():
            columns = self.outputs if name == "along" else 16
            self.sheets[name] = Sheets(name, pictures.fitting(few[0].shape, share), columns)

    @property
    def shown_images(self) -> Images:
        """What stands for the inputs, where that are images."""
        previews = self.options.pictures
        return self.findings.images if previews is None else previews

    @property
    def outputs(self) -> int:
        """How many outputs a page shows of a latent: alone, and along its range."""
        return 1 + len(self.findings.bases) * STEPS

    def _drawn(
        self, findings: Findings, latents: Sequence[int], bases: Sequence[int]
    ) -> Iterator[tuple[NDArray[np.uint8], list[NDArray[np.uint8]]]]:
        """Of each latent the change and the outputs, as bytes."""
        scale, activity = scale_of(findings.images), findings.activity
        base_ZxD = findings.codes(findings.bases)[: len(bases)]
        low, high = activity.lowest_D, activity.highest_D
        for drawing in draw(findings.model, latents, base_ZxD, low, high):
            shape = drawing.alone_HxWxC.shape
            outputs = [drawing.alone_HxWxC, *drawing.along_ZxSxHxWxC.reshape(-1, *shape)]
            yield pictures.signed(drawing.change_HxWxC), [scale.bytes_of(x) for x in outputs]

    def _shown(self, index: int, slot: dict[int, int]) -> list[Any]:
        """What stands for an input besides its number: its label, and its picture or text."""
        labels, texts = self.options.labels, self.options.texts
        label = None if labels is None else int(labels[index])
        return [label, slot[index] if texts is None else str(texts[index])]

    def _write_drawings(self, findings: Findings, cards: str, along: str | None) -> dict[int, int]:
        """Writes what the decoder draws; latent -> the number of its card."""
        if cards not in self.sheets:
            return {}
        bases = [] if along is None else findings.bases
        changes: list[NDArray[np.uint8]] = []
        for number in range(0, findings.activity.latents, BLOCK):
            inside = findings.alive[findings.alive // BLOCK == number // BLOCK].tolist()
            tiles: list[NDArray[np.uint8]] = []
            for change, outputs in self._drawn(findings, inside, bases):
                changes.append(self.sheets[cards].fit(change))
                if along is not None:
                    tiles += map(self.sheets[along].fit, outputs)
            if along is not None:
                self.sheets[along].write(self.folder, number // BLOCK, tiles)
        self.sheets[cards].write_all(self.folder, changes)
        return {int(latent): number for number, latent in enumerate(findings.alive)}

    def _write_page(self) -> None:
        findings, of_label_L = self.findings, self.findings.activity.of_label_L
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        page = environment.get_template("gallery.html.j2").render(
            title=describe(findings.model),
            facts=facts_of(findings),
            columns={name: DEFINITIONS[name] for name in findings.columns},
            labels=[] if of_label_L is None else range(len(of_label_L)),
            comparison=relation_of(findings),
        )
        (self.folder / "index.html").write_text(page, encoding="utf-8")
        for name in _ASSETS:
            shutil.copyfile(_TEMPLATES / name, self.folder / "assets" / name)

    def _put(self, name: str, value: Any) -> None:
        """Writes a script that hands the value to the page."""
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
        script = f'gallery.receive("{name}",{text})\n'
        (self.folder / "data" / f"{name}.js").write_text(script, encoding="utf-8")


def _few(latents: NDArray[np.integer]) -> list[int]:
    """Some of the latents, evenly spaced."""
    return latents[:: max(1, len(latents) // (_SAMPLE // 8))].tolist()
