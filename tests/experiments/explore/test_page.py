"""The explorer's page does what it should with real clicks."""

import base64
import contextlib
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.explore import latency as explore_latency
from experiments.explore.state import State
from experiments.measures.robustness import noisy
from experiments.records.pictures import to_uint8
from tests.helpers.checkpoints import rewrite_about

ROOT = Path(__file__).parents[3]
IMAGE, NOISY = (f".outputs .tiles:not(.edited) figure:nth-child({number}) img" for number in (1, 2))
EDITED = explore_latency.EDITED
TAG = '<img src="http://127.0.0.1:9/pixel.png">'


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
def test_a_digit_is_picked(page, view, images):
    index = pick(page, 7)
    z_D = view.model.code(images[index])
    np.testing.assert_array_equal(pixels(page, IMAGE), view.inputs.images[index])
    np.testing.assert_array_equal(pixels(page, EDITED), to_uint8(view.model.image(z_D)))
    assert [float(value) for value in values(page) if float(value)] == [
        float(f"{z_D[d]:.3g}") for d in np.argsort(-np.abs(z_D), kind="stable") if z_D[d]
    ]
    assert page.locator(".choice rect.active").count() == np.count_nonzero(z_D)


@pytest.mark.long
def test_a_latent_is_dragged_with_the_mouse_and_the_image_follows(page, view, images):
    index = pick(page, 4)
    before, reconstructed = values(page), pixels(page, EDITED)
    with changing(page, EDITED):
        explore_latency.drag(page, 1, 0.9)
    after = values(page)
    assert [i for i, value in enumerate(after) if value != before[i]] == [1]
    slider = page.locator(explore_latency.LATENT).nth(1)
    latent, value = int(slider.get_attribute("data-dim")), float(slider.input_value())
    moved = State(index).clamped(latent, value).applied(view.model.code(images[index]))
    np.testing.assert_array_equal(pixels(page, EDITED), to_uint8(view.model.image(moved)))
    with changing(page, EDITED):
        page.get_by_role("button", name="Back to the code of the input").click()
    np.testing.assert_array_equal(pixels(page, EDITED), reconstructed)


@pytest.mark.long
def test_a_latent_is_moved_with_the_keyboard(page):
    pick(page, 12)
    page.locator(explore_latency.LATENT).first.focus()
    for key in ("End", "Home"):
        with changing(page, EDITED):
            page.keyboard.press(key)


@pytest.mark.long
def test_noise_is_added(page, view, images):
    index = pick(page, 5)
    page.locator("#sigma input[type=range]").focus()
    with changing(page, NOISY):
        page.keyboard.press("End")
    expected = noisy(images[index][None], 1.0, 0, clip=True)[0]
    np.testing.assert_array_equal(pixels(page, NOISY), to_uint8(expected))
    np.testing.assert_array_equal(pixels(page, IMAGE), view.inputs.images[index])
    with changing(page, NOISY):
        page.keyboard.press("Home")


@pytest.mark.long
def test_a_latent_is_ablated_and_a_link_restores_it(page, view, images):
    index = pick(page, 3)
    card = page.locator(".latents .latent").first
    latent = int(card.locator("input").get_attribute("data-dim"))
    with changing(page, EDITED):
        card.get_by_role("button", name="Ablate").click()
    card.locator("[data-open]").click()
    page.get_by_role("heading", name=f"Latent {latent}").wait_for()
    page.wait_for_function(f"location.search.endsWith('latent={latent}')")
    ablated = pixels(page, EDITED)
    z_D = State(index).clamped(latent, 0.0).applied(view.model.code(images[index]))
    np.testing.assert_array_equal(ablated, to_uint8(view.model.image(z_D)))
    page.reload()
    page.get_by_role("heading", name=f"Latent {latent}").wait_for()
    np.testing.assert_array_equal(pixels(page, EDITED), ablated)
    with changing(page, EDITED):
        page.get_by_role("button", name="Back to the code of the input").click()


@pytest.mark.long
def test_on_a_narrow_page_the_reconstruction_is_in_sight(page):
    before = page.viewport_size
    page.set_viewport_size({"width": 400, "height": 900})
    for box in (page.locator(".tiles img").nth(n).bounding_box() for n in range(2)):
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 400
        assert box["y"] + box["height"] <= 900
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    overflow = page.locator(".latents").first.evaluate("(x) => getComputedStyle(x).overflowY")
    assert overflow == "visible"
    page.set_viewport_size(before)


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
