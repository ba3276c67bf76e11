"""Every page keeps its word: its Python runs, its command lines parse, its links lead somewhere;
the site is built without a warning."""

import functools
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

import vae_topk_jax
from experiments.pages import command_options as flags
from experiments.pages import result_figures
from experiments.pages import rules_figure as rules
from experiments.terminal import cli
from tests.helpers import markdown
from tests.helpers.markdown import KOREAN, README, ROOT
from vae_topk_jax.config import Config, fields_for

READMES = (README, KOREAN)
# The Korean README has the code of the English one (`test_korean_and_english_are_in_step`).
WITH_PYTHON = [
    page for page in markdown.PAGES if markdown.python_blocks(page) and page not in READMES
]
COMMANDS = sorted({line for page in markdown.PAGES for line in markdown.command_lines(page)})
LINKS = [(page, target) for page in markdown.PAGES for target in markdown.links(page)]


@pytest.fixture(scope="module")
def readme(tmp_path_factory):
    """The folder in which the README's code has run, and its names."""
    folder = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        names = markdown.run_python(README)
    return folder, names


def test_the_readme_runs(readme):
    folder, names = readme
    assert names["codes"].shape == (16, 64)
    assert (folder / "runs" / "model").is_dir()


@pytest.mark.long
@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_python_blocks_run(page, readme, tmp_path, monkeypatch):
    shutil.copytree(readme[0], tmp_path, dirs_exist_ok=True)  # with the model of the README
    monkeypatch.chdir(tmp_path)
    markdown.run_python(page)


class ParsedError(Exception):
    """Raised in place of what a command would do."""


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_command_lines_parse(words, monkeypatch):
    parse = cli.parse

    def only_parse(*args, **options):
        parse(*args, **options)
        raise ParsedError

    monkeypatch.setattr(cli, "parse", only_parse)
    name, *args = words
    module = importlib.import_module(name)
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"{name}.__main__")
    has_own_parser = "args" in inspect.signature(module.main).parameters
    main = module.main if has_own_parser else functools.partial(cli.run, module.main)
    with pytest.raises((ParsedError, SystemExit)) as stop:
        main(args)
    assert getattr(stop.value, "code", 0) in (None, 0)


@pytest.mark.parametrize("name", flags.commands())
def test_the_page_has_every_flag_of_the_command(name, capsys):
    with pytest.raises(SystemExit):
        cli.parse(flags.commands()[name], ["--help"])
    shown = set(re.findall(r"(?<![\w`])--(?!no-|help\b)[a-z][a-z0-9-]*", capsys.readouterr().out))
    own, shared = flags.options(flags.commands()[name])
    named = {option.flag for option in own if not option.is_positional}
    for target in shared:
        named |= flags_of_config() if target is Config else flags_of(target)
    assert named == shown


def flags_of(target) -> set[str]:
    return {option.flag for option in flags.options(target)[0]}


def flags_of_config() -> set[str]:
    """The flag that chooses the system, and those of the one that is the default."""
    names = ("model", *fields_for(Config().model))
    return {"--" + name.replace("_", "-") for name in names}


@pytest.mark.parametrize(("page", "target"), LINKS, ids=lambda x: getattr(x, "name", x))
def test_links_lead_somewhere(page, target):
    path, _, anchor = target.partition("#")
    file = page.parent / path if path else page
    assert file.is_file()
    if anchor:
        assert anchor in markdown.anchors(file)


@pytest.mark.long
def test_the_site_is_built_without_warnings(tmp_path):
    for package in ("sphinx", "myst_nb", "furo", "sphinx_copybutton", "latex2mathml"):
        pytest.importorskip(package)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "-W",
            "-q",
            "-d",
            tmp_path / "read",
            ROOT / "docs",
            tmp_path,
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    pages = {page.stem for page in tmp_path.glob("*.html")}
    assert {"quickstart"} | {page.stem for page in (ROOT / "docs").glob("*.md")} <= pages
    for name in vae_topk_jax.__all__:
        value = getattr(vae_topk_jax, name)
        module = value.__name__ if inspect.ismodule(value) else value.__module__
        reference = tmp_path / "api" / f"{module.rpartition('.')[2]}.html"
        place = f"module-{module}" if inspect.ismodule(value) else f"{module}.{name}"
        assert f'id="{place}"' in reference.read_text(encoding="utf-8")
    for reference in (tmp_path / "api").glob("*.html"):
        text = reference.read_text(encoding="utf-8")
        assert 'class="viewcode-link"' in text
        assert not re.search("Alias for field number| at 0x|_Sentinel|Annotated", text)


def test_rules_keep_what_the_picture_says():
    *batch, alone_D = rules.make_scores(9)
    for chosen in rules.choose(rules.make_scores(9)[:-1], alone_D, k=3).values():
        assert chosen.mask_BxD.sum() == 3 * len(batch)
    assert len(rules.draw_rules().axes) == 4


@pytest.mark.long
@pytest.mark.parametrize("name", result_figures.PICTURES)
def test_pictures_are_drawn_of_committed_results(name):
    assert result_figures.draw(name).startswith(b"\x89PNG")
    assert (ROOT / "docs" / f"{name}.png").is_file()


def test_the_citation_is_of_this_version():
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == project["version"] == vae_topk_jax.__version__
    assert citation["license"] == project["license"]
    (paper,) = citation["references"]
    page = (ROOT / "docs" / "citing.md").read_text(encoding="utf-8")
    for author in paper["authors"]:
        assert f"{author['family-names']}, {author['given-names']}" in page
    assert f"{{{citation['version']}}}" in page
