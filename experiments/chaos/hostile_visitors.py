"""Visitors of the explorer that ask for what they must not have."""

import base64
import json
import struct
import zlib

import numpy as np

from experiments.bench.free_memory import peak_mebibytes
from experiments.chaos.requests import (
    ELSEWHERE,
    FROM_ELSEWHERE,
    LOCAL,
    Request,
    Rng,
    post,
    try_requests,
)
from experiments.chaos.small_run import require, small_model, temporary_folder, write_images
from experiments.explore.drawing import LARGEST, decode_drawing
from vae_topk_jax.checkpoint import save_checkpoint

_JSON = "Content-Type: application/json\r\n"
_FORM = "Content-Type: multipart/form-data; boundary=edge\r\n"
_FILES = (
    "/etc/passwd",
    "../../../etc/passwd",
    "%2e%2e/%2e%2e/etc/passwd",
    "http://evil.example/a.png",
    "//evil.example/a.png",
)
_MEBIBYTES = 64  # that a drawing may take


def visitors(trials: int) -> str:
    """Requests to the explorer (other hosts and origins, uploads too large, files of the machine),
    and drawings of any size: answered, or refused, before pixels are decoded."""
    drawings = max(1, trials // 2)
    refused = _draw(drawings)
    with temporary_folder() as folder:
        model = small_model()
        save_checkpoint(folder / "run", model.state, model.info)
        write_images(folder / "data")
        flags = ["--checkpoint", str(folder / "run"), "--data", str(folder / "data")]
        answered = try_requests("experiments.explore", flags, _make_request, trials - drawings)
    return f"{answered}; {refused} of {drawings} drawings refused"


def _make_request(rng: Rng) -> Request:
    """One of some kinds, at random."""
    file = str(rng.choice(_FILES))
    join = "/gradio_api/queue/join"
    upload = "/gradio_api/upload"
    requests = [
        Request("the page", post(b"", method="GET", path="/"), 200),
        Request("an upload", post(_form(bytes(100)), LOCAL + _FORM, path=upload), 200),
        Request("too large", post(_form(bytes(2_000_001)), LOCAL + _FORM, path=upload), 413),
        Request("too large, it says", post(b"", LOCAL + _FORM, length=1 << 40, path=upload), 413),
        Request("another host", post(_form(b"0"), ELSEWHERE + _FORM, path=upload), 403),
        Request("another origin", post(_form(b"0"), FROM_ELSEWHERE + _FORM, path=upload), 403),
        Request("a page from elsewhere", post(b"", ELSEWHERE, method="GET", path="/"), 403),
        Request("a file", post(b"", method="GET", path=f"/gradio_api/file={file}"), 403),
        Request("no text", post(b"\xff" + rng.bytes(50), LOCAL + _JSON, path=join), 400),
        Request("no JSON", post(b"[" * 50, LOCAL + _JSON, path=join), 422),
        Request("no event", post(json.dumps([1]).encode(), LOCAL + _JSON, path=join), 422),
        Request("a body with GET", post(b"0", method="GET", path="/"), 400),
        Request("unfinished", post(b"0", LOCAL + _FORM, length=9, path=upload), None),
        Request("not awaited", post(b"", method="GET", path="/"), None),
    ]
    return requests[rng.integers(len(requests))]


def _form(content: bytes) -> bytes:
    head = b'--edge\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    return head + content + b"\r\n--edge--\r\n"


def _draw(trials: int) -> int:
    """How many drawings of some that may be forged are refused, all in little memory."""
    rng, refused = np.random.default_rng(0), 0
    before = peak_mebibytes()["peak_mib"]
    for _ in range(trials):
        drawing, is_right = _make_drawing(rng)
        try:
            ink_HxW = decode_drawing(drawing)
        except ValueError as refusal:
            require(not is_right and "\n" not in str(refusal), str(refusal))
            refused += 1
        else:
            require(max(ink_HxW.shape) <= LARGEST, f"a drawing of shape {ink_HxW.shape}")
    taken = peak_mebibytes()["peak_mib"] - before
    require(taken < _MEBIBYTES, f"a drawing took {taken:.0f} MiB")
    return refused


def _make_drawing(rng: Rng) -> tuple[str, bool]:
    """A drawing, and whether it is as it should be: it may have a false size, or be damaged."""
    side = int(rng.integers(1, 64))
    says = int(rng.choice([side, LARGEST + 1, 20_000, 2**31 - 1]))
    header = struct.pack(">IIBBBBB", says, side, 8, 6, 0, 0, 0)
    pixels = zlib.compress(bytes(side * (1 + 4 * side)))
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels)
    png += _chunk(b"IEND", b"")
    where, damage = int(rng.integers(len(png))), rng.integers(4)
    if damage == 0:
        png = png[:where]
    elif damage == 1:
        png = png[:where] + rng.bytes(1) + png[where + 1 :]
    prefix = "data:image/png;base64," if damage != 2 else ""
    return prefix + base64.b64encode(png).decode(), damage == 3 and says == side


def _chunk(kind: bytes, content: bytes) -> bytes:
    code = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", code)
