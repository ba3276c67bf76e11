"""The page to look into a trained model, and the server that shows it."""

import dataclasses
import functools
import socket
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.explore.drawing import as_digit, decode_drawing
from experiments.explore.state import MOST_SEED, State
from experiments.explore.view import Shown, View
from experiments.web.listening import address
from vae_topk_jax.runs.progress import console

if TYPE_CHECKING:
    import gradio as gr

_MEGABYTES = 2  # of a request; the largest is a drawing
_HERE = Path(__file__).parent
_TELL_INDEX = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-index]");
  if (button) trigger("select", { index: Number(button.dataset.index) });
});
"""
_KEEP_ADDRESS = """
new MutationObserver(() => {
  const link = element.querySelector("a");
  if (link) history.replaceState(null, "", link.getAttribute("href"));
}).observe(element, { subtree: true, childList: true, attributes: true });
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

    pictures = view.pictures

    def answering(function: Callable) -> Callable:
        """Has what a browser may not send answered in one line, which is text and no HTML."""

        @functools.wraps(function)
        def answer(*given):
            try:
                return function(*given)
            except ValueError as error:
                raise gr.Error(escape(str(error)), print_exception=False) from None

        return answer

    def outputs(x_HxWxC, state: State) -> tuple:
        shown: Shown = view.show(x_HxWxC, state)
        return x_HxWxC, state, *shown

    def pick(index: Any, state: State) -> tuple:
        index = pictures.checked_index(index)
        state = dataclasses.replace(state, index=index)
        return index, *outputs(pictures.input(index), state)

    @answering
    def pick_clicked(state, event: gr.EventData):
        return pick(getattr(event, "index", None), state)

    @answering
    def pick_number(index, state):
        return pick(index or 0, state)  # None while the field is empty

    @answering
    def draw(state, event: gr.EventData):
        ink_HxW = decode_drawing(getattr(event, "png", None))
        x_HxWxC = as_digit(ink_HxW, *view.inputs.images.shape[1:3])
        return outputs(x_HxWxC, dataclasses.replace(state, index=None))

    @answering
    def add_noise(x, state, sigma, seed):
        query = {"sigma": str(sigma), "seed": str(int(seed or 0))}
        noise = State.parse(query, pictures.count, view.model.latents)
        return outputs(x, dataclasses.replace(state, sigma=noise.sigma, seed=noise.seed))

    @answering
    def drag(z_D, state, event: gr.EventData):
        latent, value = (getattr(event, name, None) for name in ("dimension", "value"))
        return view.edit(z_D, state, latent, value)

    @answering
    def open_latent(z_D, state, event: gr.EventData):
        return view.open(z_D, state, getattr(event, "index", None))

    @answering
    def add_latent(z_D, state, latent):
        latent = latent or 0
        detail, link, state = view.open(z_D, state, latent)
        state = state.clamped(latent, float(state.applied(z_D)[latent]))
        return view.cards(z_D, state), detail, link, state

    def reset(x, state):
        return outputs(x, dataclasses.replace(state, clamps={}))

    @answering
    def restore(request: gr.Request):
        query = dict(request.query_params) if request else {}
        asked = State.parse(query, pictures.count, view.model.latents, pictures.first)
        return importance, asked.sigma, asked.seed, *pick(asked.index, asked)

    begun = State(pictures.first)
    first = pictures.input(pictures.first)
    start = view.show(first, begun)
    with gr.Blocks(title="vae_topk_jax explorer", analytics_enabled=False) as page:
        x, state, z = gr.State(first), gr.State(begun), gr.State(start.z_D)
        gr.HTML(f"<h2>Explorer</h2>{view.summary}")
        with gr.Row(elem_classes="explorer"):
            with gr.Column(scale=2, min_width=300, elem_classes="picking"):
                with gr.Tab("Pick an input"):
                    thumbnails = gr.HTML(pictures.thumbnails(), js_on_load=_TELL_INDEX)
                    last = pictures.count - 1
                    label = f"or its number, 0 to {last}"
                    index = gr.Number(
                        pictures.first, label=label, minimum=0, maximum=last, precision=0
                    )
                with gr.Tab("Draw one", visible=pictures.can_be_drawn):
                    script = (_HERE / "drawing.js").read_text(encoding="utf-8")
                    canvas = gr.HTML(_CANVAS, js_on_load=script)
                sigma = gr.Slider(0, 1, 0, step=0.05, label="Noise, sigma", elem_id="sigma")
                seed = gr.Number(
                    0, label="Seed of the noise", precision=0, minimum=0, maximum=MOST_SEED
                )
            with gr.Column(scale=5, min_width=300, elem_classes="shown"):
                with gr.Row(elem_classes="outputs"):
                    tiles = gr.HTML(start.tiles)
                    edited = gr.HTML(start.edited)
                gr.Markdown(
                    "### Its latents\nDrag one, or focus it and use the arrow keys; it keeps that "
                    "value for other inputs. Click its picture for details."
                )
                script = (_HERE / "latents.js").read_text(encoding="utf-8")
                cards = gr.HTML(start.cards, js_on_load=script)
                with gr.Row():
                    most = view.model.latents - 1
                    another = gr.Number(
                        None, label=f"Another latent, 0 to {most}", precision=0, minimum=0
                    )
                    add = gr.Button("Add it", size="sm")
                    back = gr.Button("Back to the code of the input", size="sm")
                link = gr.HTML(start.link, js_on_load=_KEEP_ADDRESS)
                detail = gr.HTML(start.detail, js_on_load=_TELL_INDEX)
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                gr.Markdown("### Mask")
                choice = gr.HTML(start.choice)
            with gr.Column(scale=2, min_width=300):
                gr.Markdown("### Importance over training")
                history = gr.HTML()

        shown = [x, state, tiles, edited, cards, choice, detail, link, z]
        at_once: dict[str, Any] = {
            "queue": False,
            "show_progress": "hidden",
            "trigger_mode": "always_last",
        }
        thumbnails.select(pick_clicked, state, [index, *shown], **at_once)
        detail.select(pick_clicked, state, [index, *shown], **at_once)
        index.input(pick_number, [index, state], [index, *shown], **at_once)
        canvas.change(draw, state, shown, **at_once)
        cards.input(drag, [z, state], [edited, link, state], **at_once)
        cards.select(open_latent, [z, state], [detail, link, state], **at_once)
        add.click(add_latent, [z, state, another], [cards, detail, link, state], **at_once)
        back.click(reset, [x, state], shown, **at_once)
        for control in (sigma.input, seed.input):
            control(add_noise, [x, state, sigma, seed], shown, **at_once)
        page.load(restore, None, [history, sigma, seed, index, *shown], **at_once)
    return page


def serve(
    page: "gr.Blocks", listening: socket.socket, hosts: frozenset[str], gallery: Path | None = None
) -> None:
    """Serves the page until it is interrupted.

    Args:
        page: from `make_page`.
        listening: the socket.
        hosts: the names by which browsers may call the server.
        gallery: the folder that is served at gallery/.
    """
    import fastapi
    import gradio as gr
    from starlette.staticfiles import StaticFiles

    from experiments.web import guard, server

    limits = guard.Limits(hosts, megabytes=_MEGABYTES)
    app = fastapi.FastAPI(openapi_url=None)
    if gallery is not None:
        app.mount("/gallery", StaticFiles(directory=gallery, html=True))
    app = gr.mount_gradio_app(
        app,
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
