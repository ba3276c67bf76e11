"""Serves an exported model over HTTP: images in, codes or reconstructions out.

    python -m experiments.serve --exported runs/model/exported
    curl -d '{"images": [[[[0.0], ...]]]}' http://127.0.0.1:8000/encode

    GET  /model        what it is and which images it takes
    POST /encode       {"images": (N, H, W, C)} -> {"codes": (N, D)}
    POST /reconstruct  {"images": (N, H, W, C)} -> {"images": (N, H, W, C)}

A request that is not as it should be gets {"error": one line} with status 413 or 422. Needs the
extra `serve`. There is no authentication: leave it on the loopback address, or behind a proxy.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.terminal import cli
from vae_topk_jax.export import Exported, load_exported
from vae_topk_jax.extras import install_advice

if TYPE_CHECKING:
    from starlette.applications import Starlette

MEGABYTE = 1_000_000


def make_app(model: Exported, largest: int = 16) -> "Starlette":
    """The app that serves a model.

    Args:
        model: an exported model with both programs.
        largest: how many megabytes the body of a request may have.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    async def describe(request: Request) -> Response:
        names = ("config", "image_shape", "input_range", "data", "step")
        return JSONResponse({name: model.about[name] for name in names})

    def endpoint(name: str, function: Callable[[np.ndarray], Any]) -> Route:
        def respond(body: bytes) -> Response:
            try:
                outputs = np.asarray(function(parse_images(body)))
            except ValueError as error:
                return JSONResponse({"error": str(error)}, 422)
            return JSONResponse({name: outputs.tolist()})

        async def answer(request: Request) -> Response:
            body = bytearray()
            async for chunk in request.stream():
                body += chunk
                if len(body) > largest * MEGABYTE:
                    said = f"the body must have at most {largest} MB"
                    return JSONResponse({"error": said}, 413, {"Connection": "close"})
            return await run_in_threadpool(respond, bytes(body))

        return Route(f"/{function.__name__}", answer, methods=["POST"])

    return Starlette(
        routes=[
            Route("/model", describe),
            endpoint("codes", model.encode),
            endpoint("images", model.reconstruct),
        ]
    )


def parse_images(body: bytes) -> np.ndarray:
    """The images of a request, as floats.

    Raises:
        ValueError: anything but {"images": numbers in a regular array}, in one line.

    Examples:
        >>> parse_images(b'{"images": [[[[0.5]]]]}').shape
        (1, 1, 1, 1)
        >>> parse_images(b'{"image": [1]}')
        Traceback (most recent call last):
        ValueError: the body must be {"images": ...} and no more, got ['image']
    """
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError('the body must be JSON, {"images": ...}') from None
    if not isinstance(request, dict) or list(request) != ["images"]:
        found = sorted(request) if isinstance(request, dict) else type(request).__name__
        raise ValueError(f'the body must be {{"images": ...}} and no more, got {found}')
    try:
        images = np.asarray(request["images"])
    except ValueError:
        raise ValueError("images must all have one shape") from None
    if images.dtype.kind not in "iuf":
        raise ValueError("images must be an array of numbers")
    return images.astype(np.float32)


def main(exported: Path, host: str = "127.0.0.1", port: int = 8000, largest: int = 16) -> None:
    """Serves an exported model over HTTP until it is interrupted.

    Args:
        exported: folder of model files with an encoder and a decoder.
        host: address to listen on; the default is reached from this machine only.
        port: port to listen on; 0: any free one.
        largest: how many megabytes the body of a request may have.
    """
    if largest < 1:
        raise ValueError(f"largest must be at least 1, got {largest}")
    if not 0 <= port < 65536:
        raise ValueError(f"port must lie in [0, 65535], got {port}")
    model = load_exported(exported)
    model.reconstruct(np.zeros((1, *model.about["image_shape"]), np.float32))  # compiles
    try:
        import uvicorn
    except ImportError:
        raise ValueError(f"serving needs the extra `serve`: {install_advice('serve')}") from None
    uvicorn.run(make_app(model, largest), host=host, port=port, log_level="info", access_log=False)


if __name__ == "__main__":
    cli.run(main)
