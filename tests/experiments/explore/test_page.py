"""What the explorer shows is what the model gives, and the page does it with real clicks."""

import base64
import contextlib
import dataclasses
import html
import io
import re
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from experiments import train
from experiments.explore import __main__ as explore
from experiments.explore import latency as explore_latency
from experiments.explore.drawing import as_digit, decode_drawing
from experiments.explore.inspection import Inspector, with_entry
from experiments.explore.markup import picture, sliders
from experiments.explore.view import View
from experiments.measures.robustness import noisy
from experiments.records.pictures import to_uint8
from experiments.terminal import cli
from tests.helpers.checkpoints import rewrite_about
from tests.helpers.runs import untrained
from vae_topk_jax import load
from vae_topk_jax.data import load_dataset, to_unit_float
from vae_topk_jax.inference import Inference
from vae_topk_jax.rule import SelectionRule
from vae_topk_jax.runs.importance_log import read_importance

ROOT = Path(__file__).parents[3]
IMAGE, NOISY = (f".tiles:not(.edited) figure:nth-child({number}) img" for number in (1, 2))
EDITED = explore_latency.EDITED
TAG = '<img src="http://127.0.0.1:9/pixel.png">'
FLAGS = ["--data", "embedded", "--epochs", "1", "--widths", "16", "--latent-dim", "8", "--k", "3"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("explored") / "run"
    train.main([*FLAGS, "--out", str(folder)])
    return folder


@pytest.fixture(scope="module")
def digits():
    return load_dataset("embedded")


@pytest.fixture(scope="module")
def view(run, digits) -> View:
    return View(Inspector(load(run / "checkpoints")), digits)


@pytest.mark.parametrize("selection", get_args(SelectionRule))
def test_the_mask_shown_is_the_models(blobs, selection):
    model = untrained(blobs, selection=selection)
    inspector = Inspector(model)
    for x in to_unit_float(blobs.test_images[:5]):
        choice, code_D = inspector.choice(x), model.encode(x[None])[0]
        np.testing.assert_array_equal(choice.active_D, code_D != 0)
        if choice.level is None:
            assert choice.rank_D.sum() == pytest.approx(model.config.k)
        else:
            np.testing.assert_array_equal(choice.rank_D >= choice.level, choice.active_D)
        np.testing.assert_array_equal(inspector.code(x), code_D)


def test_a_drag_changes_one_entry_and_decodes_it(view, digits):
    x = to_unit_float(digits.test_images[:1])
    z_D = view.model.code(x[0])
    html, edited_D = view.edit(z_D, 5, 2.5)
    assert edited_D[5] == 2.5
    np.testing.assert_array_equal(np.delete(edited_D, 5), np.delete(z_D, 5))
    decoded = view.model.model.decode(edited_D[None])[0]
    np.testing.assert_array_equal(view.model.image(edited_D), decoded.clip(0, 1))
    assert html != view.edit(z_D, 5, -2.5)[0]
    assert view.show(x[0], 0.0, 0).edited == view.edit(z_D, 5, z_D[5])[0]


@pytest.mark.parametrize(
    ("dimension", "value", "message"),
    [
        (3, 0.0, r"dimension must be an integer in \[0, 3\), got 3"),
        ("1", 0.0, r"dimension must be an integer in \[0, 3\), got '1'"),
        (0, np.nan, "value must be a finite number, got nan"),
        (0, 1e300, r"value must be a finite number, got 1e\+300"),
        (0, None, "value must be a finite number, got None"),
    ],
)
def test_a_drag_that_cannot_be_is_refused(dimension, value, message):
    with pytest.raises(ValueError, match=message):
        with_entry(np.zeros(3), dimension, value)


def test_noise_is_a_function_of_sigma_and_seed(view, digits):
    x = to_unit_float(digits.test_images[0])
    codes = [view.show(x, *noise).z_D for noise in ((0.5, 0), (0.5, 0), (0.5, 1), (0.0, 1))]
    np.testing.assert_array_equal(codes[0], codes[1])
    np.testing.assert_array_equal(codes[0], view.model.code(noisy(x[None], 0.5, 0, True)[0]))
    assert not np.array_equal(codes[0], codes[2])
    np.testing.assert_array_equal(codes[3], view.model.code(x))


@pytest.mark.parametrize("index", [-1, 1000, None, "1", 1.5])
def test_an_image_that_is_not_there_is_refused(view, index):
    with pytest.raises(ValueError, match=r"index must be an integer in \[0, 1000\), got"):
        view.image(index)


def test_strings_from_files_are_text(view, digits):
    info = dataclasses.replace(
        view.model.model.info, data={"source": TAG, "train": 4000, "test": 1}
    )
    summary = View(Inspector(Inference(view.model.model.state, info)), digits).summary
    assert html.escape(TAG) in summary
    assert TAG not in summary


def test_a_dense_model_stands_beside_it(run, digits, view):
    assert "start with --dense DIR to compare" in view.show(view.images_NxHxWxC[0], 0, 0).tiles
    both = View(view.model, digits, view.model)
    tiles = both.show(view.images_NxHxWxC[0], 0.3, 0).tiles
    psnrs = re.findall(r"PSNR ([\d.]+) dB", tiles)
    assert len(psnrs) == 3
    assert psnrs[1] == psnrs[2]


def test_images_of_another_shape_are_refused(view, blobs):
    with pytest.raises(ValueError, match=re.escape("(12, 12, 1), got one of (28, 28, 1)")):
        View(view.model, blobs)


def test_sliders_reach_as_far_as_the_codes(view):
    codes_NxD = np.abs(view.model.model.encode(view.images_NxHxWxC[:1000]))
    assert np.all(codes_NxD.max(axis=0) <= view.limit_D + 1e-6)
    beyond = sliders(np.array([0.0, 99.0]), np.ones(2), [0, 1])
    assert 'max="99.00" step="0.05" value="99.0000" data-dim="1"' in beyond


def test_importance_over_training_is_shown_where_the_run_kept_it(run, view, tmp_path):
    history = read_importance(run)
    assert np.shape(history["values"]) == (len(history["step"]), 8)
    model = load(run / "checkpoints")
    np.testing.assert_allclose(
        history["values"][-1], model.state.batch_stats["batch_top_k"]["importance"], rtol=1e-3
    )
    assert "<img" in view.importance(run / "checkpoints")
    (checkpoint,) = (run / "checkpoints").iterdir()
    assert "<img" in view.importance(checkpoint)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / checkpoint.name).symlink_to(checkpoint)
    assert read_importance(tmp_path) is None


def test_a_drawing_becomes_a_centred_digit(view):
    ink = np.zeros((280, 280), np.float32)
    ink[200:270, 5:15] = 0.5
    image = as_digit(ink, 28, 28)
    rows, columns = np.nonzero(image[..., 0])
    assert (np.ptp(rows) + 1, rows.mean(), columns.mean()) == (20, 13.5, pytest.approx(13.5, abs=1))
    assert image.dtype == np.float32
    assert view.model.code(image).shape == (8,)
    assert not as_digit(np.zeros((280, 280), np.float32), 28, 28).any()


@pytest.mark.parametrize("width", [1025, 20_000, 2**31 - 1])
@pytest.mark.parametrize("headers", [1, 2])
def test_a_drawing_of_too_many_pixels_is_refused_before_it_is_decoded(width, headers, monkeypatch):
    """Its size may stand in a second header, too."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    sizes = [(8, 8), (width, 8)][-headers:]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 6, 0, 0, 0)) for size in sizes
    )
    png += chunk(b"IDAT", zlib.compress(bytes(8 * 33))) + chunk(b"IEND", b"")
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="of 1024 x 1024 pixels at most"):
        decode_drawing("data:image/png;base64," + base64.b64encode(png).decode())


@pytest.mark.parametrize("data_url", [None, 3, "", "aGVsbG8=", "data:image/png;base64,aGVsbG8="])
def test_what_is_no_drawing_is_refused(data_url):
    with pytest.raises(ValueError, match="a drawing must be a data URL of a PNG picture"):
        decode_drawing(data_url)


def test_colour_images_have_pictures(blobs):
    images = np.repeat(blobs.test_images[:2], 3, axis=3)
    shown = [picture(to_unit_float(image), "a spot") for image in images]
    assert shown[0] != shown[1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--checkpoint", "none"], "no checkpoint in"),
        (["--checkpoint", "{run}", "--dense", "none"], "no checkpoint in"),
        (["--checkpoint", "{run}", "--port", "70000"], "port must lie in [0, 65535], got 70000"),
        (["--checkpoint", "{run}", "--port", "{taken}"], "cannot listen on 127.0.0.1:{taken}: Add"),
        (["--checkpoint", "{run}", "--host", "203.0.113.1"], "cannot listen on 203.0.113.1:7860"),
    ],
)
def test_bad_flags_exit_with_2_and_a_reason(run, flags, message, capsys, monkeypatch):
    monkeypatch.setattr(explore, "load", lambda path: pytest.fail("a model was loaded"))
    monkeypatch.setattr(explore.importlib.util, "find_spec", lambda name: True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        names = {"run": run / "checkpoints", "taken": taken.getsockname()[1]}
        with pytest.raises(SystemExit) as stopped:
            cli.run(explore.main, [flag.format(**names) for flag in flags])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert message.format(**names) in said
    assert said.count("\n") == 1


def test_a_missing_extra_is_named(run, capsys, monkeypatch):
    monkeypatch.setattr(explore.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stopped:
        cli.run(explore.main, ["--checkpoint", str(run / "checkpoints")])
    assert stopped.value.code == 2
    assert (
        "needs the extra `explore`: pip install 'vae_topk_jax[explore]' or"
        in capsys.readouterr().err
    )


@contextlib.contextmanager
def served(run) -> Iterator[str]:
    """The address of the command, started as a user would."""
    command = [sys.executable, "-m", "experiments.explore", "--checkpoint", run / "checkpoints"]
    process = subprocess.Popen(
        [*command, "--data", "embedded", "--port", "0"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    with process:
        try:
            lines = iter(process.stdout.readline, "")
            yield next(re.findall(r"http://\S+", line)[0] for line in lines if "http" in line)
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def page(run):
    pytest.importorskip("gradio", reason="the explorer needs gradio")
    pytest.importorskip("playwright", reason="clicks need playwright")
    if explore_latency.find_browser() is None:
        pytest.skip(f"no browser here: none of {', '.join(explore_latency.BROWSERS)}")
    (checkpoint,) = (run / "checkpoints").iterdir()
    rewrite_about(checkpoint, lambda about: about["data"].update(source=TAG))
    with served(run) as url, explore_latency.opened(url) as page:
        yield page


@contextlib.contextmanager
def changing(page, selector: str) -> Iterator[None]:
    """Ends when the picture there is another."""
    before = page.locator(selector).get_attribute("src")
    yield
    script = "([selector, before]) => document.querySelector(selector).src !== before"
    page.wait_for_function(script, arg=[selector, before])


def pixels(page, selector: str) -> np.ndarray:
    """The picture there, uint8 (H, W, 1)."""
    png = base64.b64decode(page.locator(selector).get_attribute("src").partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(png)))[..., None]


def pick(page, number: int) -> int:
    """Clicks on a thumbnail; the index of its image."""
    button = page.locator(".thumbnails button").nth(number)
    with changing(page, IMAGE):
        button.click()
    return int(button.get_attribute("data-index"))


def values(page) -> list[str]:
    return page.locator(".latents output").all_text_contents()


@pytest.mark.long
def test_the_page_asks_for_nothing_from_elsewhere(page):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.wait_for_selector(explore_latency.LAST)
    assert TAG in page.locator("p").first.text_content()
    assert asked
    assert all(url.startswith(("http://127.0.0.1:", "data:", "blob:")) for url in asked)


@pytest.mark.long
def test_other_hosts_and_origins_and_large_bodies_are_refused(page):
    httpx = pytest.importorskip("httpx")
    upload = f"{page.url}gradio_api/upload"
    assert httpx.post(upload, files={"files": bytes(3)}).status_code == 200
    assert httpx.post(upload, files={"files": bytes(3_000_000)}).status_code == 413
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
        assert httpx.post(upload, files={"files": bytes(3)}, headers=headers).status_code == 403


@pytest.mark.long
def test_a_digit_is_picked(page, view):
    index = pick(page, 7)
    z_D = view.model.code(view.images_NxHxWxC[index])
    np.testing.assert_array_equal(pixels(page, IMAGE), view.dataset.test_images[index])
    np.testing.assert_array_equal(pixels(page, EDITED), to_uint8(view.model.image(z_D)))
    assert sorted(values(page)) == sorted(f"{value:.2f}" for value in z_D)
    assert page.locator(".choice rect.active").count() == np.count_nonzero(z_D)


@pytest.mark.long
def test_a_latent_is_dragged_with_the_mouse_and_the_image_follows(page, view):
    index = pick(page, 4)
    before, reconstructed = values(page), pixels(page, EDITED)
    with changing(page, EDITED):
        explore_latency.drag(page, 1, 0.9)
    after = values(page)
    assert [i for i, value in enumerate(after) if value != before[i]] == [1]
    slider = page.locator(explore_latency.LATENT).nth(1)
    moved = with_entry(
        view.model.code(view.images_NxHxWxC[index]),
        int(slider.get_attribute("data-dim")),
        float(slider.input_value()),
    )
    np.testing.assert_array_equal(pixels(page, EDITED), to_uint8(view.model.image(moved)))
    with changing(page, EDITED):
        page.get_by_role("button", name="Back to the code of the image").click()
    np.testing.assert_array_equal(pixels(page, EDITED), reconstructed)


@pytest.mark.long
def test_a_latent_is_moved_with_the_keyboard(page):
    pick(page, 12)
    page.locator(explore_latency.LATENT).first.focus()
    for key in ("End", "Home"):
        with changing(page, EDITED):
            page.keyboard.press(key)


@pytest.mark.long
def test_noise_is_added(page, view):
    index = pick(page, 5)
    page.locator("#sigma input[type=range]").focus()
    with changing(page, NOISY):
        page.keyboard.press("End")
    expected = noisy(view.images_NxHxWxC[index][None], 1.0, 0, clip=True)[0]
    np.testing.assert_array_equal(pixels(page, NOISY), to_uint8(expected))
    np.testing.assert_array_equal(pixels(page, IMAGE), view.dataset.test_images[index])
    with changing(page, NOISY):
        page.keyboard.press("Home")


@pytest.mark.long
def test_a_digit_is_drawn(page):
    page.get_by_role("tab", name="Draw one").click()
    canvas = page.locator(".drawing canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 40)
    page.mouse.down()
    with changing(page, IMAGE):
        page.mouse.move(box["x"] + 120, box["y"] + 200, steps=5)
        page.mouse.up()
    rows, columns = np.nonzero(pixels(page, IMAGE)[..., 0])
    assert np.ptp(rows) + 1 == 20
    assert np.ptp(columns) < 12


@pytest.mark.long
def test_the_latency_is_measured(page):
    assert np.all(explore_latency.measure(page, 3) > 0)
