"""Real clicks in a gallery of 4,096 latents, opened as a file."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from experiments.explore.latency import BROWSERS, find_browser
from tests.helpers.galleries import data_of, dictionary
from vae_topk_jax.gallery import findings

pytestmark = pytest.mark.long
LATENTS, TAG = 4096, '<img src="http://127.0.0.1:9/pixel.png">'


@pytest.fixture(scope="module")
def gallery(blobs, tmp_path_factory) -> Path:
    """Of a dictionary that nobody trained; its map shows two values of each direction."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(findings, "layout", lambda rows: (rows[:, 60:62] - rows.min()) / np.ptp(rows))
        images = blobs.test_images
        x = images.astype(np.float32) / 255
        model, other = (dictionary(x, size, threshold=0.4) for size in (LATENTS, 64))
        page = model.gallery(
            images,
            tmp_path_factory.mktemp("site") / "gallery",
            labels=blobs.test_labels,
            source=TAG,
            against=other,
        )
    return page.parent


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="clicks need playwright")
    if find_browser() is None:
        pytest.skip(f"no browser here: none of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=find_browser())
        yield browser
        browser.close()


@pytest.fixture
def page(browser, gallery) -> Iterator:
    """The start page; ends with an error if a script failed or anything else was asked for."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    asked: list[str] = []
    failed: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on("console", lambda said: failed.append(said.text) if said.type == "error" else None)
    page.goto((gallery / "index.html").as_uri())
    yield page
    page.close()
    assert failed == []
    assert all(url.startswith(("file://", "data:")) for url in asked)


def numbers(page) -> list[int]:
    return [int(text) for text in page.locator("#cards .card b").all_text_contents()]


def count(page) -> int:
    return int(page.locator("#count").inner_text().split()[0].replace(",", ""))


def test_it_answers_within_a_second(page, gallery):
    columns = data_of(gallery, "summary")["columns"]
    started = page.evaluate(
        "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    )
    assert started < 1000
    alive = np.flatnonzero(columns["frequency"])
    assert count(page) == len(alive)
    for selector, option, column in (("#sort", "purity", "purity"), ("#order", "1", "purity")):
        before = time.perf_counter()
        page.select_option(selector, option)
        shown = numbers(page)
        assert time.perf_counter() - before < 1
        ranked = [columns[column][d] for d in shown]
        assert ranked == sorted(ranked, reverse=option != "1")
    assert len(shown) == 60
    page.get_by_role("button", name="Show more").click()
    assert len(numbers(page)) == 120


def test_a_search_finds_and_filters_narrow(page, gallery):
    summary = data_of(gallery, "summary")
    columns = summary["columns"]
    page.get_by_label("Search").fill("17")
    assert numbers(page) == [17]
    page.get_by_label("Search").fill("100-103 alive")
    assert numbers(page) == [d for d in numbers(page) if 100 <= d <= 103]
    page.get_by_label("Search").fill("dead")
    assert count(page) == columns["frequency"].count(0)
    assert page.locator("#cards .badge").first.inner_text() == "dead"
    page.get_by_label("Search").fill("no-such-word")
    assert count(page) == 0
    page.get_by_label("Search").fill("")
    page.get_by_text("Limits").click()
    limit = float(np.median([x for x in columns["frequency"] if x]))
    page.get_by_role("group", name="frequency").get_by_label("from").fill(str(limit))
    page.select_option("#label", "2")
    expected = [
        d for d, x in enumerate(columns["frequency"]) if x >= limit and summary["label"][d] == 2
    ]
    assert count(page) == len(expected)
    assert set(numbers(page)) <= set(expected)


def test_a_latent_has_a_page_and_the_keys_go_on(page, gallery):
    first, second = numbers(page)[:2]
    page.locator("#cards .card").first.click()
    page.wait_for_selector("#page h3")
    assert page.locator("#latent h2").inner_text().split()[:2] == ["Latent", str(first)]
    assert page.evaluate("document.activeElement.tagName") == "H2"
    record = data_of(gallery, f"records-{first // 64:03}")[first % 64]
    shown = page.locator("#page section", has_text="Highest").first.locator(".tile")
    assert shown.count() == len(record["examples"]["highest"])
    index, _, label, _ = record["examples"]["highest"][0]
    assert shown.first.get_attribute("aria-label").startswith(f"input {index}, label {label}")
    page.keyboard.press("ArrowRight")
    page.locator("#latent h2", has_text=f"{second}").wait_for()
    page.go_back()
    page.go_back()
    assert numbers(page)[:2] == [first, second]


def test_an_address_of_nothing_says_so(page):
    page.evaluate("location.hash = '#latent=99999'")
    page.get_by_role("heading", name="No such latent").wait_for()


def test_texts_of_files_are_text(page):
    assert TAG in page.locator(".facts").first.inner_text()
    assert page.locator(".facts img").count() == 0


def test_the_map_zooms_and_a_click_opens_a_latent(page, gallery):
    page.get_by_role("link", name="Map").click()
    summary = data_of(gallery, "summary")
    assert len(summary["map"]["latent"]) > 1000
    canvas = page.locator("#plane")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    side = 0.92 * min(box["width"], box["height"])
    places = np.column_stack([summary["map"]["x"], summary["map"]["y"]])
    outermost = int(np.argmax(places[:, 0]))
    x, y = (
        box[a] + box[b] / 2 + (places[outermost, i] - 0.5) * side
        for i, (a, b) in enumerate((("x", "width"), ("y", "height")))
    )
    page.mouse.move(x, y)
    latent = summary["map"]["latent"][outermost]
    assert f"latent {latent}," in page.locator("#pointed").inner_text()
    before = canvas.screenshot()
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(100)
    assert canvas.screenshot() != before
    page.mouse.click(x, y)  # what is under the pointer stays there
    page.wait_for_selector("#page h3")
    assert page.url.endswith(f"#latent={latent}")
    page.go_back()
    canvas.focus()
    page.keyboard.press("ArrowRight")
    pointed = page.locator("#pointed").inner_text()
    assert pointed.startswith("latent ")
    page.keyboard.press("Enter")
    page.wait_for_selector("#page h3")
    assert pointed.split()[1].rstrip(",") in page.locator("#latent h2").inner_text()


def test_the_comparison_shows_what_is_new_and_what_is_lost(page, gallery):
    comparison = data_of(gallery, "comparison")
    page.get_by_role("link", name="Comparison").click()
    page.wait_for_selector("#compared:not(:empty)")
    kept = sum(cosine >= 0.7 for _, _, cosine in comparison["pairs"])
    lost = len(comparison["latents"]) - kept
    page.select_option("#which", "lost")
    assert page.locator("#compared").inner_text().endswith(f"{lost} only there")
    assert page.locator("#pairs li").count() == min(lost, 60)
    page.select_option("#which", "new")
    shown = page.locator("#pairs li b").all_text_contents()
    assert set(map(int, shown)) <= set(data_of(gallery, "summary")["map"]["latent"])


@pytest.mark.parametrize("width", [400, 1400])
def test_no_view_scrolls_sideways_and_all_fields_have_labels(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    for view in ("", "#latent=1", "#map", "#comparison"):
        page.evaluate(f"location.hash = '{view}'")
        page.wait_for_timeout(150)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    unlabelled = "[...document.querySelectorAll('input, select')].filter((x) => !x.labels.length)"
    assert page.evaluate(f"{unlabelled}.length") == 0
