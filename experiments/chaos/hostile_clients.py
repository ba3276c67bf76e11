"""Clients of a served model that ask for what they must not have, or leave before they have it."""

import json

from experiments.chaos.requests import (
    ELSEWHERE,
    FROM_ELSEWHERE,
    Request,
    Rng,
    post,
    try_requests,
)
from experiments.chaos.small_run import SHAPE, small_model, temporary_folder
from vae_topk_jax.export import export_model


def clients(trials: int) -> str:
    """Requests to a served model with odd, large and unfinished bodies, from other hosts and
    origins, by clients that leave: answered, or refused in one line; it stops within 10 s."""
    with temporary_folder() as folder:
        exported = export_model(small_model(), folder / "model")
        flags = ["--exported", str(exported), "--largest", "1"]
        return try_requests("experiments.serve", flags, _make_request, trials)


def _make_request(rng: Rng) -> Request:
    """One of some kinds, at random."""
    images = rng.uniform(size=(int(rng.integers(1, 4)), *SHAPE)).round(3)
    body = json.dumps({"images": images.tolist()}).encode()
    number = str(rng.choice(["-1", "2", "NaN", "3e38", "1e999", "9" * 400, '"a"', "null", "[]"]))
    odd = body.replace(b"0.", number.encode() + b", 0.", 1)
    cut = int(rng.integers(len(body)))
    requests = [
        Request("right", post(body), 200),
        Request("a number", post(odd), 422),
        Request("cut", post(body[:cut]), 422),
        Request("noise", post(rng.bytes(cut)), 422),
        Request("nested", post(b"[" * 10 * cut), 422),
        Request("too large", post(b" " * 1_000_001), 413),
        Request("too large, it says", post(b"", length=1_000_001), 413),
        Request("another host", post(body, ELSEWHERE), 403),
        Request("another origin", post(body, FROM_ELSEWHERE), 403),
        Request("another path", post(body, path="/train"), 404),
        Request("a body with GET", post(body, method="GET", path="/model"), 400),
        Request("no HTTP", b"\0" + rng.bytes(cut) + b"\r\n\r\n", 400),
        Request("unfinished", post(body[:cut], length=len(body)), None),
        Request("not awaited", post(body), None),
    ]
    return requests[rng.integers(len(requests))]
