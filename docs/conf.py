"""The site: `sphinx-build -W docs build/docs`.

The pages are written for GitHub, links and all. What differs on the site is done here.
"""

import re
from pathlib import Path

import vae_topk_jax

project = "vae_topk_jax"
release = vae_topk_jax.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "vae_topk_jax"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

myst_heading_anchors = 3
highlight_language = "text"
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_use_ivar = True

_ROOT = Path(__file__).parents[1]
# Pages of the site that are files of the repository's root.
_FROM_ROOT = {
    "readme": "README.md",
    "readme.ko": "README.ko.md",
    "contributing": "CONTRIBUTING.md",
    "changelog": "CHANGELOG.md",
}


def read_source(app, docname, source):
    """Takes a page from the root where it lies there; links point to pages of the site."""
    text = source[0]
    if docname in _FROM_ROOT:
        text = (_ROOT / _FROM_ROOT[docname]).read_text(encoding="utf-8")
        text = re.sub(r"\]\((?!https?:|#)", "](../", text).replace("](../docs/", "](")
    for page, name in _FROM_ROOT.items():
        text = text.replace(f"](../{name}", f"]({page}.md")
    source[0] = text


def read_docstring(app, what, name, obj, options, lines):
    """Docstrings are plain text: a bar is a bar, and what a blank line sets in is a formula."""
    plain: list[str] = []
    margin, in_formula, after_blank = 0, False, False
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.strip():
            starts = after_blank and indent > margin and not line.lstrip().startswith((">>>", "- "))
            if starts and not in_formula:
                plain += [" " * margin + "::", ""]
            in_formula = indent > margin and (in_formula or starts)
            margin = margin if in_formula else indent
        after_blank = not line.strip()
        is_code = in_formula or line.lstrip().startswith((">>>", "..."))
        plain.append(line if is_code else _escape(line))
    lines[:] = plain


def _escape(line):
    parts = line.split("`")  # every other one stands between backticks
    parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
    return "`".join(parts)


def setup(app):
    """Connects the two."""
    app.connect("source-read", read_source)
    app.connect("autodoc-process-docstring", read_docstring, priority=400)
