"""Arrays that are larger than what may be taken of the memory for them."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.chaos.small_run import SHAPE, require, small_model, temporary_folder

_IMAGES = 1_000_000
_MEBIBYTES = 64  # that may be taken beside the codes


def large_arrays(trials: int) -> str:
    """`encode` of memory maps of a million images: in pieces, and the memory they take
    is that of the answer."""
    with temporary_folder() as folder:
        call = (
            "from experiments.chaos.large_arrays import encode_maps; "
            f"encode_maps({str(folder)!r}, {trials})"
        )
        done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True)
    require(done.returncode == 0, done.stderr[-2000:])
    return done.stdout.strip()


def encode_maps(folder: str, trials: int) -> None:
    """Tries them in this process and prints what came of them."""
    rng, model, path = np.random.default_rng(0), small_model(), Path(folder) / "images"
    taken = []
    for _ in range(trials):
        images = np.lib.format.open_memmap(path, "w+", np.float32, (_IMAGES, *SHAPE))
        some = np.sort(rng.choice(_IMAGES, 100, replace=False))
        images[some] = rng.uniform(size=(100, *SHAPE))
        images.flush()
        del images
        images = np.lib.format.open_memmap(path, "r")
        model.encode(images[:2048])
        with _observed() as anonymous:
            codes = model.encode(images)
        taken.append(max(anonymous) - anonymous[0] - codes.nbytes / 2**20)
        require(np.array_equal(codes[some], model.encode(images[some])), "other codes")
    mapped = images.nbytes / 2**20
    print(f"{mapped:.0f} MiB each, at most {max(taken):.0f} MiB taken beside the codes")
    require(max(taken) < _MEBIBYTES, f"{max(taken):.0f} MiB were taken beside the codes")


@contextlib.contextmanager
def _observed() -> Iterator[list[float]]:
    """The mebibytes of this process that no file backs, at the start and every few milliseconds."""
    sizes, is_over = [_anonymous_mebibytes()], threading.Event()

    def observe() -> None:
        while not is_over.wait(0.002):
            sizes.append(_anonymous_mebibytes())

    thread = threading.Thread(target=observe)
    thread.start()
    try:
        yield sizes
    finally:
        is_over.set()
        thread.join()


def _anonymous_mebibytes() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024
