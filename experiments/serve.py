"""Serves an exported model over HTTP: images in, codes or reconstructions out.

    python -m experiments.serve --exported runs/model/exported
    curl -d '{"images": [[[[0.0], ...]]]}' http://127.0.0.1:8000/encode

    GET  /model        what it is and which images it takes
    POST /encode       {"images": (N, H, W, C)} -> {"codes": (N, D)}
    POST /reconstruct  {"images": (N, H, W, C)} -> {"images": (N, H, W, C)}
    POST /generate     {"n": 4, "seed": 0} -> {"images": (4, H, W, C)}, of the best fitted prior

A model with classes takes "label": 3 as well, or one of each image, and one with attributes these.
A request that is not as it should be gets {"error": one line} with status 4xx. Needs the extra
`serve`. There is no authentication: leave it on the loopback address, or behind a proxy.
"""

import asyncio
import functools
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from experiments.terminal import cli
from experiments.web.listening import address, listen, names
from vae_topk_jax.export import Exported, load_exported
from vae_topk_jax.extras import install_advice
from vae_topk_jax.json_object import JsonObject
from vae_topk_jax.runs.progress import console

if TYPE_CHECKING:
    from starlette.applications import Starlette

_MEGABYTE = 1_000_000
_LABEL = "label"
_AT_ONCE = 2  # requests that are parsed and computed at the same time, which bounds the memory


def make_app(model: Exported, largest: int = 16) -> "Starlette":
    """The app that serves a model.

    Args:
        model: an exported model with both programs.
        largest: how many megabytes the numbers of an answer may have, as float32.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    computing = asyncio.Semaphore(_AT_ONCE)
    values = max(model.latent_dim, math.prod(model.about["image_shape"]))  # of an image's answer
    most_images = largest * _MEGABYTE // (4 * values)

    async def describe(request: Request) -> Response:
        fields = ("config", "image_shape", "input_range", "data", "step")
        facts = {name: model.about[name] for name in fields}
        return JSONResponse(facts | {"refine": model.refine})

    def apply(function: Callable[..., jax.Array], body: bytes) -> jax.Array:
        images, label = parse_images(body)
        if images.ndim and len(images) > most_images:
            raise ValueError(f"images must be at most {most_images:,}, got {len(images):,}")
        return function(images, label=label)

    def generated(body: bytes) -> jax.Array:
        n, seed, label = parse_draw(body)
        if n > most_images:
            raise ValueError(f"n must be at most {most_images:,}, got {n:,}")
        return model.generate(jax.random.key(seed), n, label=label)

    def endpoint(path: str, name: str, function: Callable[[bytes], Any]) -> Route:
        def respond(body: bytes) -> Response:
            try:
                outputs = np.asarray(function(body))
                if not np.isfinite(outputs).all():
                    raise ValueError("the answer is not finite: values of the images are too large")
            except ValueError as error:
                return JSONResponse({"error": str(error)}, 422)
            return JSONResponse({name: outputs.tolist()})

        async def answer(request: Request) -> Response:
            body = await request.body()
            async with computing:
                return await run_in_threadpool(respond, body)

        return Route(path, answer, methods=["POST"])

    def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    return Starlette(
        routes=[
            Route("/model", describe),
            endpoint("/encode", "codes", functools.partial(apply, model.encode)),
            endpoint("/reconstruct", "images", functools.partial(apply, model.reconstruct)),
            endpoint("/generate", "images", generated),
        ],
        exception_handlers={HTTPException: refuse},
    )


class Given(NamedTuple):
    """Images as floats, and their label if they have one, which may still be of any type."""

    images: np.ndarray
    label: np.ndarray | None


def parse_images(body: bytes) -> Given:
    """The images of a request.

    Raises:
        ValueError: anything but {"images": numbers in a regular array}, with "label" or without, in
            one line.

    Examples:
        >>> parse_images(b'{"images": [[[[0.5]]]], "label": 3}').label
        array(3)
        >>> parse_images(b'{"image": [1]}')
        Traceback (most recent call last):
        ValueError: the body must be {"images": ...} and no more than "label", got ['image']
    """
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError('the body must be JSON, {"images": ...}') from None
    if not isinstance(request, dict) or request.keys() - {_LABEL} != {"images"}:
        found = sorted(request) if isinstance(request, dict) else type(request).__name__
        raise ValueError(
            f'the body must be {{"images": ...}} and no more than "label", got {found}'
        )
    try:
        images = np.asarray(request["images"])
    except ValueError:
        raise ValueError("images must all have one shape") from None
    if images.dtype.kind not in "iuf":
        raise ValueError("images must be an array of numbers")
    with np.errstate(over="ignore"):  # an infinity, which no model takes
        return Given(images.astype(np.float32), _label_in(request))


class Draw(NamedTuple):
    """How many images to generate, the seed of their key, and their label as in `Given`."""

    n: int
    seed: int
    label: np.ndarray | None


def parse_draw(body: bytes) -> Draw:
    """What a request for generated images asks.

    Raises:
        ValueError: anything but {"n": ..., "seed": ...}, with "label" or without, n from 1 and seed
            from 0 on.

    Examples:
        >>> parse_draw(b'{"n": 2, "seed": 0}')
        Draw(n=2, seed=0, label=None)
    """
    try:
        request = JsonObject.parse(body.decode())
        if request.fields.keys() - {_LABEL} != {"n", "seed"}:
            raise ValueError(f"got {sorted(request.fields)}")
        n, seed = request.integer("n", least=1), request.integer("seed")
        return Draw(n, seed, _label_in(request.fields))
    except ValueError as error:
        raise ValueError(f'the body must be {{"n": ..., "seed": ...}}: {error}') from None


def _label_in(request: Mapping[str, Any]) -> np.ndarray | None:
    """The label that is asked for, if any."""
    if request.get(_LABEL) is None:
        return None
    try:
        return np.asarray(request[_LABEL])
    except ValueError:
        raise ValueError("label must be a number, or numbers of one shape") from None


def main(
    exported: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    allowed_hosts: tuple[str, ...] = (),
    largest: int = 16,
) -> None:
    """Serves an exported model over HTTP until it is interrupted.

    Args:
        exported: folder of model files with an encoder and a decoder.
        host: address to listen on; the default is reached from this machine only.
        port: port to listen on; 0: any free one.
        allowed_hosts: further names by which clients may call the server, such as that of a proxy
            in front of it.
        largest: how many megabytes the body of a request may have, and the numbers of an answer as
            float32.
    """
    if largest < 1:
        raise ValueError(f"largest must be at least 1, got {largest}")
    try:
        from experiments.web import guard, server
    except ImportError:
        raise ValueError(f"serving needs the extra `serve`: {install_advice('serve')}") from None
    with listen(host, port) as listening:
        model = load_exported(exported)
        model.reconstruct(np.zeros((1, *model.about["image_shape"]), np.float32))  # compiles
        console.print(f"serve: {address(listening)} (Ctrl-C ends it)", soft_wrap=True)
        limits = guard.Limits(names(host, allowed_hosts), largest)
        server.run(make_app(model, largest), listening, limits)


if __name__ == "__main__":
    cli.run(main)
