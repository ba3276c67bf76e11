"""The page to look into a trained model, and the server that shows it."""

import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.explore.drawing import as_digit, decode_drawing
from experiments.explore.view import View
from vae_topk_jax.runs.progress import console

if TYPE_CHECKING:
    import gradio as gr

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

    def show(x_HxWxC, sigma, seed):
        return view.show(x_HxWxC, sigma, int(seed or 0))

    def show_index(index, sigma, seed):
        x_HxWxC = view.images_NxHxWxC[int(index or 0)]
        return x_HxWxC, *show(x_HxWxC, sigma, seed)

    def pick(sigma, seed, event: gr.EventData):
        return event.index, *show_index(event.index, sigma, seed)

    def draw(sigma, seed, event: gr.EventData):
        x_HxWxC = as_digit(decode_drawing(event.png), *view.dataset.image_shape[:2])
        return x_HxWxC, *show(x_HxWxC, sigma, seed)

    def drag(z_D, event: gr.EventData):
        return view.edit(z_D, event.dimension, event.value)

    first = view.images_NxHxWxC[view.first]
    start = view.show(first, 0.0, 0)
    with gr.Blocks(title="vae_topk_jax explorer", analytics_enabled=False) as page:
        x, z = gr.State(first), gr.State(start.z_D)
        gr.Markdown(f"## Explorer\n{view.summary}")
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
                seed = gr.Number(0, label="Seed of the noise", precision=0, minimum=0)
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
        index.input(show_index, [index, *noise], [x, *shown], **at_once)
        canvas.change(draw, noise, [x, *shown], **at_once)
        sliders.input(drag, z, [edited, z], **at_once)
        for control in (sigma.input, seed.input, reset.click):
            control(show, [x, *noise], shown, **at_once)
        # the first event of a session is the slowest: it need not be a drag
        page.load(lambda: importance, None, history, **at_once)
    return page


def serve(page: "gr.Blocks", listening: socket.socket) -> None:
    """Serves the page until it is interrupted."""
    import fastapi
    import gradio as gr
    import uvicorn

    app = gr.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None),
        page,
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        theme=gr.themes.Default(primary_hue="blue"),
        css_paths=_HERE / "explore.css",
    )
    host, port = listening.getsockname()[:2]
    console.print(f"explore: http://{host}:{port} (Ctrl-C ends it)", soft_wrap=True)
    with contextlib.suppress(KeyboardInterrupt):
        config = uvicorn.Config(app, log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        OSError: the port is in use, or the address is not one of this machine; in one line.
    """
    try:
        return socket.create_server((host, port))
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]
        raise OSError(f"cannot listen on {host}:{port}: {reason}") from None
