"""A document of titled sections, rendered as Markdown and as one self-contained HTML page."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2

from experiments.reporting.tables import Table, escape_markdown, to_html, to_markdown

FIGURES = "figures"


class Bullets(NamedTuple):
    items: Sequence[str]


class Picture(NamedTuple):
    """A PNG file with the text that stands below it."""

    name: str
    caption: str
    png: bytes


class Section(NamedTuple):
    title: str
    blocks: Sequence[str | Bullets | Table | Picture]


def write_document(title: str, sections: Sequence[Section], out_dir: Path) -> tuple[Path, Path]:
    """Writes `report.md`, its pictures under `figures/`, and `report.html`."""
    (out_dir / FIGURES).mkdir(parents=True, exist_ok=True)
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Picture):
                (out_dir / FIGURES / block.name).write_bytes(block.png)
    markdown, page = out_dir / "report.md", out_dir / "report.html"
    markdown.write_text(render_markdown(title, sections), encoding="utf-8")
    page.write_text(render_html(title, sections), encoding="utf-8")
    return markdown, page


def render_markdown(title: str, sections: Sequence[Section]) -> str:
    parts = [f"# {escape_markdown(title)}"]
    for section in sections:
        parts.append(f"## {escape_markdown(section.title)}")
        for block in section.blocks:
            match block:
                case str():
                    parts.append(escape_markdown(block))
                case Bullets(items):
                    parts.append("\n".join(f"- {escape_markdown(item)}" for item in items))
                case Table():
                    parts.append(to_markdown(block))
                case Picture(name, caption, _):
                    text = escape_markdown(caption)
                    parts.append(f"![{text}]({FIGURES}/{name})\n\n{text}")
    return "\n\n".join(parts) + "\n"


def render_html(title: str, sections: Sequence[Section]) -> str:
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"table": to_html, "data_uri": _data_uri}
    return environment.get_template("report.html.j2").render(title=title, sections=sections)


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
