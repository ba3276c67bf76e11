"""How long after the drag of a latent the decoded image is there, as headless Chromium sees it.

    python -m experiments.explore --checkpoint runs/model/checkpoints --port 7860
    python -m experiments.explore.latency --url http://127.0.0.1:7860 --drags 20

Needs playwright and a Chromium of the system. Each drag moves the mouse once with the button down;
the clock runs in the page, from the event of the slider to the frame after the new image has been
decoded.
"""

import contextlib
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from experiments.terminal import cli
from vae_topk_jax.extras import install_advice
from vae_topk_jax.runs.progress import console

if TYPE_CHECKING:
    from playwright.sync_api import Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LATENT = ".latents input"
_THUMB = 14  # pixels of a slider that its ends do not reach
EDITED = ".edited img"
LAST = ".importance"  # what the page shows when it answers
_CLOCK = """
() => {
  window.latencies = [];
  let moved = null;
  document.addEventListener("input", (event) => (moved ??= event.timeStamp), true);
  new MutationObserver(async () => {
    const image = document.querySelector(".edited img");
    if (moved === null || image.src === window.shown) return;
    const started = moved;
    [moved, window.shown] = [null, image.src];
    await image.decode();
    requestAnimationFrame(() => window.latencies.push(performance.now() - started));
  }).observe(document.body, { subtree: true, childList: true, attributes: true });
  window.shown = document.querySelector(".edited img").src;
}
"""


@contextlib.contextmanager
def opened(url: str, width: int = 1400, height: int = 900) -> Iterator["Page"]:
    """The explorer at that address in a browser without a window, ready to be used.

    Raises:
        ValueError: playwright or a browser is missing, or no page is there.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise ValueError(f"a browser needs the extra `test`: {install_advice('test')}") from None
    path = find_browser()
    if path is None:
        raise ValueError(f"no browser here: none of {', '.join(BROWSERS)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        page = browser.new_page(viewport={"width": width, "height": height})
        try:
            page.goto(url)
        except Error as error:
            raise ValueError(f"no page at {url}: {error.message.splitlines()[0]}") from None
        page.wait_for_selector(LAST)
        yield page
        browser.close()


def find_browser() -> str | None:
    """The path of a Chromium, None if there is none on this machine."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def drag(page: "Page", number: int, share: float) -> None:
    """Drags a latent's slider with the mouse in one move.

    Args:
        page: the explorer.
        number: which of the sliders, counted from 0.
        share: where to, 0 the left end, 1 the right one.
    """
    slider = page.locator(LATENT).nth(number)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    before = 0.5 + 0.5 * float(slider.input_value()) / float(slider.get_attribute("max") or 1)
    middle = box["y"] + box["height"] / 2
    start, length = box["x"] + _THUMB / 2, box["width"] - _THUMB
    page.mouse.move(start + length * before, middle)
    page.mouse.down()
    page.mouse.move(start + length * share, middle)
    page.mouse.up()


def measure(page: "Page", drags: int) -> np.ndarray:
    """Milliseconds from each drag to its image."""
    page.evaluate(_CLOCK)
    rng = np.random.default_rng(0)
    sliders = page.locator(".latents").first.locator("input").count()
    for done in range(drags):
        drag(page, done % sliders, float(rng.uniform(0.05, 0.95)))
        page.wait_for_function(f"window.latencies.length > {done}")
    return np.asarray(page.evaluate("window.latencies"))[:drags]


def main(url: str = "http://127.0.0.1:7860", drags: int = 20) -> None:
    """Drags latents of a running explorer and prints how long the images took.

    Args:
        url: of the explorer.
        drags: how many.
    """
    if drags < 1:
        raise ValueError(f"drags must be at least 1, got {drags}")
    with opened(url) as page:
        latencies = measure(page, drags)
    console.print(
        f"{drags} drags: first {latencies[0]:.0f} ms, median {np.median(latencies):.0f} ms, "
        f"largest {latencies.max():.0f} ms"
    )


if __name__ == "__main__":
    cli.run(main)
