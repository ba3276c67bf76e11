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
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jinja2
import numpy as np
from numpy.typing import NDArray

from vae_topk_jax.data.rows import Images
from vae_topk_jax.files import new_folder
from vae_topk_jax.gallery import pictures
from vae_topk_jax.gallery.activity import CHOICES
from vae_topk_jax.gallery.drawing import STEPS, draw
from vae_topk_jax.gallery.findings import DENSE, Findings, short
from vae_topk_jax.gallery.options import GalleryOptions
from vae_topk_jax.gallery.thumbnails import Sheets, are_pictures, scale_of, write_examples
from vae_topk_jax.inference import Inference

SUMMARY: Final = "data/summary.js"
BLOCK = 64  # latents to a file
_BUDGET = 30e6  # bytes of all pictures
_TEMPLATES = Path(__file__).parent / "templates"
_ASSETS = ("gallery.css", "gallery.js", "drawing.js", "latent.js", "map.js", "comparison.js")
# What the columns of the start page are.
DEFINITIONS = {
    "frequency": "the fraction of the inputs in which the latent is active, that is not zero",
    "importance": "the running importance of training, which ranks dimensions",
    "sensitivity": "how far the output moves with a unit of the latent: the root mean square of "
    "the derivative's length at the codes of 16 inputs",
    "purity": "of the inputs that activate the latent, the fraction with their most frequent label",
    "norm": "the length of its direction, which is the mean of these derivatives",
    "mean": "the mean value where it is active",
    "strongest": "its largest value, whatever the sign",
}
_WORDS = 3  # texts of a latent that a search looks into
_LETTERS = 120  # of each


def write_gallery(
    model: Inference, images: Images, out: Path, options: GalleryOptions | None = None
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
    fresh = out.with_name(f".{out.name}.new") if out.exists() else out
    shutil.rmtree(fresh, ignore_errors=True)
    with new_folder(fresh) as folder:
        _Writer(findings, folder).write()
    if fresh != out:
        shutil.rmtree(out)
        fresh.rename(out)
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
            shown = findings.images if self.options.previews is None else self.options.previews
            write_examples(self.folder, self.sheets["examples"], shown, self.example_N)
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
        changes = self._write_drawings(findings, "cards", "along")
        if findings.other is not None:
            changes_of_other = self._write_drawings(findings.other, "others", None)
            self._put("comparison", self._comparison(changes_of_other))
        self._put("summary", self._summary(changes))
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
        """Decides which pictures there are, and of which size."""
        shape, previews = tuple(self.model.info.image_shape), self.options.previews
        wanted: dict[str, tuple[tuple[int, ...], int]] = {}
        if previews is not None and self.options.texts is None:
            wanted["examples"] = tuple(previews.shape[1:]), len(self.example_N)
        if are_pictures(shape):
            if previews is None:
                wanted["examples"] = shape, len(self.example_N)
            alive, other = len(self.findings.alive), self.findings.other
            wanted["cards"] = shape, alive
            wanted["along"] = shape, alive * (1 + len(self.findings.bases) * STEPS)
            if other is not None:
                wanted["others"] = shape, len(other.alive)
        total = sum(pictures.bytes_wanted(*asked) for asked in wanted.values())
        share = min(1.0, _BUDGET / max(total, 1.0))
        for name, (shape, _) in wanted.items():
            columns = 1 + len(self.findings.bases) * STEPS if name == "along" else 16
            self.sheets[name] = Sheets(name, pictures.fitting(shape, share), columns)

    def _shown(self, index: int, slot: dict[int, int]) -> list[Any]:
        """What stands for an input besides its number: its label, and its picture or text."""
        labels, texts = self.options.labels, self.options.texts
        label = None if labels is None else int(labels[index])
        return [label, slot[index] if texts is None else str(texts[index])]

    def _write_drawings(self, findings: Findings, cards: str, along: str | None) -> dict[int, int]:
        """Writes what the decoder draws; latent -> the number of its card."""
        if cards not in self.sheets:
            return {}
        scale = scale_of(findings.images)
        changes: list[NDArray[np.uint8]] = []
        base_ZxD = findings.codes(findings.bases)
        activity = findings.activity
        for number in range(0, activity.latents, BLOCK):
            inside = findings.alive[
                (findings.alive >= number) & (findings.alive < number + BLOCK)
            ].tolist()
            tiles: list[NDArray[np.uint8]] = []
            low, high = activity.lowest_D, activity.highest_D
            for drawing in draw(findings.model, inside, base_ZxD, low, high) if inside else ():
                changes.append(pictures.signed(drawing.change_HxWxC))
                tiles.append(scale.bytes_of(drawing.alone_HxWxC))
                shape = drawing.alone_HxWxC.shape
                tiles += map(scale.bytes_of, drawing.along_ZxSxHxWxC.reshape(-1, *shape))
            if along is not None:
                self.sheets[along].write(self.folder, number // BLOCK, tiles)
        self.sheets[cards].write_all(self.folder, changes)
        return {int(latent): number for number, latent in enumerate(findings.alive)}

    def _summary(self, card: dict[int, int]) -> dict[str, Any]:
        findings, options = self.findings, self.options
        activity, size = findings.activity, findings.activity.latents
        summary: dict[str, Any] = {
            "latents": size,
            "inputs": activity.inputs,
            "source": options.source,
            "block": BLOCK,
            "dense": DENSE,
            "columns": {n: [short(x) for x in x_D] for n, x_D in findings.columns.items()},
            "range": [
                [short(x) for x in activity.lowest_D],
                [short(x) for x in activity.highest_D],
            ],
            "map": {
                "latent": findings.alive.tolist(),
                "x": [short(x) for x in findings.place_MxX[:, 0]],
                "y": [short(x) for x in findings.place_MxX[:, 1]],
            },
            "sheets": {name: sheets.describe() for name, sheets in self.sheets.items()},
            "card": [card.get(latent, -1) for latent in range(size)],
            "bases": findings.bases,
            "steps": STEPS,
            "images": options.texts is None and "examples" in self.sheets,
        }
        if findings.label_D is not None:
            summary["label"] = findings.label_D.tolist()
        if options.history is not None:
            summary["history"] = options.history["step"]
        if options.texts is not None:
            summary["words"] = [" ".join(self._words(latent)) for latent in range(size)]
        if findings.meta_MxD is not None:
            meta = np.zeros((size, 0)).tolist()
            for latent, line in zip(findings.alive.tolist(), findings.meta_MxD, strict=True):
                meta[latent] = np.flatnonzero(line).tolist()
            summary["meta"] = meta
        return summary

    def _words(self, latent: int) -> Iterator[str]:
        texts = self.options.texts
        assert texts is not None
        for index in self.findings.activity.of("highest", latent).index_N[:_WORDS]:
            yield str(texts[index])[:_LETTERS].lower()

    def _comparison(self, card: dict[int, int]) -> dict[str, Any]:
        found, other = self.findings.match, self.findings.other
        assert other is not None
        best = (
            {}
            if found is None
            else dict(zip(other.alive.tolist(), found.best_theirs_N, strict=True))
        )
        return {
            "title": describe(other.model),
            "latents": other.alive.tolist(),
            "frequency": [short(x) for x in other.activity.frequency_D[other.alive]],
            "best": [short(best.get(latent, 0.0)) for latent in other.alive.tolist()],
            "card": [card.get(latent, -1) for latent in other.alive.tolist()],
            "pairs": []
            if found is None
            else [
                [int(ours), int(theirs), short(cosine)]
                for ours, theirs, cosine in zip(*found[:3], strict=True)
            ],
        }

    def _write_page(self) -> None:
        findings, options = self.findings, self.options
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        activity = findings.activity
        facts: dict[str, Any] = {
            "inputs": f"{activity.inputs:,}, {options.source}",
            "latents active in an input": f"{activity.active_D.sum() / activity.inputs:.4g}",
            "latents never active": f"{activity.latents - len(findings.alive):,}",
            "latents active in more than half of the inputs": (
                f"{np.sum(activity.frequency_D > DENSE):,}"
            ),
        }
        facts |= {name.replace("_", " "): f"{x:.4g}" for name, x in options.metrics.items()}
        comparison = None
        if findings.other is not None:
            comparison = {
                "title": describe(findings.other.model),
                "relation": _relation(findings.model, findings.other.model),
                "mean": None if findings.match is None else f"{findings.match.mean:.3f}",
            }
        page = environment.get_template("gallery.html.j2").render(
            title=describe(findings.model),
            facts=facts,
            columns={name: DEFINITIONS[name] for name in findings.columns},
            labels=[] if activity.of_label_L is None else range(len(activity.of_label_L)),
            comparison=comparison,
        )
        (self.folder / "index.html").write_text(page, encoding="utf-8")
        for name in _ASSETS:
            shutil.copyfile(_TEMPLATES / name, self.folder / "assets" / name)

    def _put(self, name: str, value: Any) -> None:
        """Writes a script that hands the value to the page."""
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
        script = f'gallery.receive("{name}",{text})\n'
        (self.folder / "data" / f"{name}.js").write_text(script, encoding="utf-8")


def describe(model: Inference) -> str:
    """A model in a few words."""
    config = model.config
    return f"{config.model}, {config.system.summary}, seed {config.seed}"


def _relation(ours: Inference, theirs: Inference) -> str:
    """What the two models have in common."""
    mine, other = (model.config.to_dict() | {"seed": None} for model in (ours, theirs))
    differ = sorted(name for name in mine if name in other and mine[name] != other[name])
    if ours.config.model != theirs.config.model:
        return "two systems"
    if not differ:
        is_same = ours.config.seed == theirs.config.seed
        return "the same configuration and seed" if is_same else "two seeds of one configuration"
    return f"one system, other {', '.join(name.replace('_', ' ') for name in differ)}"
