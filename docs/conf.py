"""The site: `sphinx-build -W docs build/docs`.

The pages are written for GitHub, links and all. What differs on the site is done here.
"""

import inspect
import posixpath
import re
from pathlib import Path
from typing import Annotated, get_args, get_origin

import latex2mathml.converter
from docutils import nodes
from sphinx.util.nodes import make_refnode

import vae_topk_jax
from vae_topk_jax.config import Training
from vae_topk_jax.models.registry import MODELS
from vae_topk_jax.synthetic import Setting

project = "vae_topk_jax"
release = vae_topk_jax.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
html_theme = "furo"
html_title = "vae_topk_jax"
html_show_copyright = False
html_show_sourcelink = False
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["site.css"]

myst_enable_extensions = ["dollarmath", "html_image"]
myst_heading_anchors = 3
nb_execution_mode = "off"
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
highlight_language = "text"
default_role = "py:obj"
add_module_names = False
python_maximum_signature_line_length = 80
autodoc_default_options = {"members": True, "special-members": "__call__"}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
suppress_warnings = ["ref.python"]  # a field that several systems have leads to the first of them

_ROOT = Path(__file__).parents[1]
# Pages of the site that are files elsewhere in the repository.
_ELSEWHERE = {
    "readme": "README.md",
    "readme.ko": "README.ko.md",
    "contributing": "CONTRIBUTING.md",
    "changelog": "CHANGELOG.md",
    "quickstart": "experiments/notebooks/quickstart.ipynb",
}
_LINKED = {file: f"{page}{Path(file).suffix}" for page, file in _ELSEWHERE.items()}


def read_source(app, docname, source):
    """Takes a page from where it lies in the repository; links point to pages of the site."""
    text = source[0]
    if docname in _ELSEWHERE:
        file = _ELSEWHERE[docname]
        text = (_ROOT / file).read_text(encoding="utf-8")
        folder = posixpath.dirname(file)
        text = re.sub(
            r'(\]\(|src=")(?!https?:|#)([^)\s"]+)',
            lambda link: link[1] + posixpath.relpath(posixpath.join(folder, link[2]), "docs"),
            text,
        )
    for file, page in _LINKED.items():
        text = text.replace(f"](../{file}", f"]({page}")
    source[0] = text


def read_docstring(app, what, name, obj, options, lines):
    """Docstrings are plain text: a bar is a bar, and what a blank line sets in is a formula."""
    # Napoleon takes the words before a colon in an attribute's first line for its type: an empty
    # comment is the first line.
    plain: list[str] = ["..", ""] if what == "attribute" else []
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


def skip_member(app, what, name, obj, skip, options):
    """Leaves out what `NamedTuple` and `dataclass` document of fields by themselves."""
    return skip or (inspect.getdoc(obj) or "").startswith("Alias for field number")


def shorten_signature(app, obj, bound_method):
    """Leaves out the arguments that every linen module has."""
    if not inspect.isfunction(obj):
        return
    obj.__annotations__ = _plain(obj.__annotations__)
    if "parent" in obj.__annotations__:
        signature = inspect.signature(obj)
        shown = [p for p in signature.parameters.values() if p.name not in ("parent", "name")]
        obj.__signature__ = signature.replace(parameters=shown)


def shorten_fields(app):
    """Shows the types of fields without the values that they may hold."""
    systems = {base for model in MODELS.values() for base in model.__mro__}
    for documented in systems | {Training, Setting}:
        if documented.__module__.startswith("vae_topk_jax"):
            documented.__annotations__ = _plain(documented.__annotations__)


def _plain(annotations):
    return {
        name: get_args(hint)[0] if get_origin(hint) is Annotated else hint
        for name, hint in annotations.items()
    }


def find_name(app, env, node, contnode):
    """What a docstring calls by its bare name: `BatchTopK` is vae_topk_jax.bottleneck.BatchTopK."""
    if node.get("refdomain") != "py":
        return None
    end = "." + node["reftarget"]
    objects = env.get_domain("py").objects.items()
    found = [
        (entry.docname, entry.node_id)
        for name, entry in objects
        if name.endswith(end) and entry.objtype not in ("attribute", "property", "method")
    ]
    if len(found) != 1:
        return None
    return make_refnode(app.builder, node["refdoc"], *found[0], contnode)


def write_mathml(translator, node):
    """A formula as MathML, which browsers typeset without a script."""
    display = "block" if isinstance(node, nodes.math_block) else "inline"
    translator.body.append(latex2mathml.converter.convert(node.astext(), display=display))
    raise nodes.SkipNode


def setup(app):
    """Connects them."""
    app.add_html_math_renderer("mathml", (write_mathml, None), (write_mathml, None))
    app.connect("source-read", read_source)
    app.connect("autodoc-process-docstring", read_docstring, priority=400)
    app.connect("autodoc-before-process-signature", shorten_signature)
    app.connect("builder-inited", shorten_fields)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("missing-reference", find_name)
