"""A document of titled sections, rendered as Markdown and as one self-contained HTML page."""

import base64
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2

from experiments.reporting.tables import Table, escape_markdown, to_html, to_markdown

FIGURES = "figures"
_TALL = 1.5


class Banner(NamedTuple):
    """What the document is in one line, and the lines that qualify it."""

    title: str
    lines: Sequence[str]


class Bullets(NamedTuple):
    items: Sequence[str]


class Link(NamedTuple):
    """A text that leads to another file of the report's folder."""

    text: str
    address: str


class Picture(NamedTuple):
    """A PNG file with the text that stands below it.

    Attributes:
        name: of the file.
        caption: the text.
        png: the file.
        photo: shows images, whose colours are never inverted; a chart is, on a dark page.
    """

    name: str
    caption: str
    png: bytes
    photo: bool = False

    @property
    def is_tall(self) -> bool:
        """Whether a gallery shows its upper part only."""
        width, height = struct.unpack(">II", self.png[16:24])
        return height > _TALL * width


class Gallery(NamedTuple):
    """Pictures in as many columns as fit."""

    pictures: Sequence[Picture]


class Beside(NamedTuple):
    """Two groups of blocks, beside each other on a wide page."""

    left: "Sequence[Block]"
    right: "Sequence[Block]"


class Fold(NamedTuple):
    """Blocks that are not shown until their title is clicked."""

    title: str
    blocks: "Sequence[Block]"


Block = str | Banner | Bullets | Link | Table | Picture | Gallery | Beside | Fold


class Section(NamedTuple):
    title: str
    blocks: Sequence[Block]


class Document(NamedTuple):
    """A title, a banner below it (or none), and sections."""

    title: str
    banner: Banner | None
    sections: Sequence[Section]

    @property
    def pictures(self) -> Iterator[Picture]:
        """All pictures, in order."""
        for section in self.sections:
            yield from _pictures(section.blocks)


def _pictures(blocks: Sequence[Block]) -> Iterator[Picture]:
    for block in blocks:
        match block:
            case Picture():
                yield block
            case Gallery(pictures):
                yield from pictures
            case Beside(left, right):
                yield from _pictures([*left, *right])
            case Fold(_, inside):
                yield from _pictures(inside)


def write_document(document: Document, out_dir: Path) -> tuple[Path, Path]:
    """Writes `report.md`, its pictures under `figures/`, and `report.html`."""
    (out_dir / FIGURES).mkdir(parents=True, exist_ok=True)
    for picture in document.pictures:
        (out_dir / FIGURES / picture.name).write_bytes(picture.png)
    markdown, page = out_dir / "report.md", out_dir / "report.html"
    markdown.write_text(render_markdown(document), encoding="utf-8")
    page.write_text(render_html(document), encoding="utf-8")
    return markdown, page


def render_markdown(document: Document) -> str:
    """The document as Markdown; what folds away is a `<details>` element."""
    parts = [f"# {escape_markdown(document.title)}"]
    if document.banner:
        parts += _markdown(document.banner)
    for section in document.sections:
        parts.append(f"## {escape_markdown(section.title)}")
        for block in section.blocks:
            parts += _markdown(block)
    return "\n\n".join(parts) + "\n"


def _markdown(block: Block) -> Iterator[str]:
    match block:
        case str():
            yield escape_markdown(block)
        case Banner(title, lines):
            quoted = [
                f"> **{escape_markdown(title)}**",
                *(f"> {escape_markdown(x)}" for x in lines),
            ]
            yield "\n>\n".join(quoted)
        case Bullets(items):
            yield "\n".join(f"- {escape_markdown(item)}" for item in items)
        case Link(text, address):
            yield f"[{escape_markdown(text)}]({address})"
        case Table():
            yield to_markdown(block)
        case Picture():
            text = escape_markdown(block.caption)
            yield f"![{text}]({FIGURES}/{block.name})\n\n{text}"
        case Gallery(pictures):
            for picture in pictures:
                yield from _markdown(picture)
        case Beside(left, right):
            for inside in (*left, *right):
                yield from _markdown(inside)
        case Fold(title, blocks):
            yield f"<details>\n<summary>{escape_markdown(title)}</summary>"
            for inside in blocks:
                yield from _markdown(inside)
            yield "</details>"


def render_html(document: Document) -> str:
    """The document as a page that needs no other file."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.filters["table"] = to_html
    environment.filters["data_uri"] = _data_uri
    return environment.get_template("report.html.j2").render(document=document)


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
