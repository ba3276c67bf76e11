"""The page to look into a trained model, and the server that shows it."""

import functools
import socket
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.explore.drawing import as_digit, decode_drawing
from experiments.explore.view import View
from experiments.web.listening import address
from vae_topk_jax.runs.progress import console

if TYPE_CHECKING:
    import gradio as gr

_MEGABYTES = 2  # of a request; the largest is a drawing
_HERE = Path(__file__).parent
_TELL_INDEX = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) trigger("select", { index: Number(button.dataset.index) });
});
"""
_TELL_LATENT = """
element.addEventListener("input", ({ target }) => {
  const value = Number(target.value), row = target.parentElement;
  row.style.setProperty("--share", `${50 + (50 * value) / target.max}%`);
  row.classList.toggle("active", value !== 0);
  row.querySelector("output").textContent = value.toFixed(2);
  trigger("input", { dimension: Number(target.dataset.dim), value });
});
"""
_CANVAS = """<div class="drawing"><canvas width="280" height="280"></canvas>
<button type="button">Clear</button></div>"""


def make_page(view: View, importance: str) -> "gr.Blocks":
    """The page: what is picked, drawn, dragged or set, and what `view` shows then.

    Args:
        view: of the model.
        importance: the importance over training, as HTML.
    """
    import gradio as gr

    def answering(function: Callable) -> Callable:
        """Has what a browser may not send answered in one line, which is text and no HTML."""

        @functools.wraps(function)
        def answer(*given):
            try:
                return function(*given)
            except ValueError as error:
                raise gr.Error(escape(str(error)), print_exception=False) from None

        return answer

    @answering
    def show(x_HxWxC, sigma, seed):
        return view.show(x_HxWxC, sigma, int(seed or 0))

    def show_index(index, sigma, seed):
        x_HxWxC = view.image(index)
        return x_HxWxC, *show(x_HxWxC, sigma, seed)

    @answering
    def show_number(index, sigma, seed):
        return show_index(index or 0, sigma, seed)  # None while the field is empty

    @answering
    def pick(sigma, seed, event: gr.EventData):
        index = getattr(event, "index", None)
        return index, *show_index(index, sigma, seed)

    @answering
    def draw(sigma, seed, event: gr.EventData):
        ink_HxW = decode_drawing(getattr(event, "png", None))
        x_HxWxC = as_digit(ink_HxW, *view.dataset.image_shape[:2])
        return x_HxWxC, *show(x_HxWxC, sigma, seed)

    @answering
    def drag(z_D, event: gr.EventData):
        dimension, value = (getattr(event, name, None) for name in ("dimension", "value"))
        return view.edit(z_D, dimension, value)

    first = view.images_NxHxWxC[view.first]
    start = view.show(first, 0.0, 0)
    with gr.Blocks(title="vae_topk_jax explorer", analytics_enabled=False) as page:
        x, z = gr.State(first), gr.State(start.z_D)
        gr.HTML(f"<h2>Explorer</h2>{view.summary}")
        with gr.Row():
            with gr.Column(scale=2, min_width=340):
                with gr.Tab("Pick a test image"):
                    thumbnails = gr.HTML(view.thumbnails(), js_on_load=_TELL_INDEX)
                    last = len(view.images_NxHxWxC) - 1
                    label = f"or its number, 0 to {last}"
                    index = gr.Number(view.first, label=label, minimum=0, maximum=last, precision=0)
                with gr.Tab("Draw one", visible=view.dataset.image_shape[2] == 1):
                    script = (_HERE / "drawing.js").read_text(encoding="utf-8")
                    canvas = gr.HTML(_CANVAS, js_on_load=script)
                sigma = gr.Slider(0, 1, 0, step=0.05, label="Noise, sigma", elem_id="sigma")
                seed = gr.Number(
                    0, label="Seed of the noise", precision=0, minimum=0, maximum=2**31 - 1
                )
            with gr.Column(scale=5, min_width=850):
                with gr.Row():
                    with gr.Column(scale=4, min_width=640):
                        tiles = gr.HTML(start.tiles)
                    with gr.Column(scale=1, min_width=160):
                        edited = gr.HTML(start.edited)
                with gr.Row():
                    gr.Markdown("### Latents: drag one, or focus it and use the arrow keys")
                    reset = gr.Button("Back to the code of the image", size="sm", scale=0)
                sliders = gr.HTML(start.sliders, js_on_load=_TELL_LATENT)
        with gr.Row():
            with gr.Column(scale=3):
                gr.Markdown("### Mask")
                choice = gr.HTML(start.choice)
            with gr.Column(scale=2):
                gr.Markdown("### Importance over training")
                history = gr.HTML()

        shown = [tiles, edited, sliders, choice, z]
        at_once: dict[str, Any] = {
            "queue": False,
            "show_progress": "hidden",
            "trigger_mode": "always_last",
        }
        noise = [sigma, seed]
        thumbnails.select(pick, noise, [index, x, *shown], **at_once)
        index.input(show_number, [index, *noise], [x, *shown], **at_once)
        canvas.change(draw, noise, [x, *shown], **at_once)
        sliders.input(drag, z, [edited, z], **at_once)
        for control in (sigma.input, seed.input, reset.click):
            control(show, [x, *noise], shown, **at_once)
        # the first event of a session is the slowest: it need not be a drag
        page.load(lambda: importance, None, history, **at_once)
    return page


def serve(page: "gr.Blocks", listening: socket.socket, hosts: frozenset[str]) -> None:
    """Serves the page until it is interrupted.

    Args:
        page: from `make_page`.
        listening: the socket.
        hosts: the names by which browsers may call the server.
    """
    import fastapi
    import gradio as gr

    from experiments.web import guard, server

    limits = guard.Limits(hosts, megabytes=_MEGABYTES)
    app = gr.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None),
        page,
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        max_file_size=f"{_MEGABYTES}mb",
        theme=gr.themes.Default(primary_hue="blue"),
        css_paths=_HERE / "explore.css",
    )
    console.print(f"explore: {address(listening)} (Ctrl-C ends it)", soft_wrap=True)
    server.run(app, listening, limits)
