"""Batches of data that need not fit into memory, read ahead of the device."""

import contextlib
import functools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Sharding

from vae_topk_jax.data.batches import Labelled, as_float, epoch_order
from vae_topk_jax.data.rows import Rows

Step = TypeVar("Step")
Read = TypeVar("Read")
PIECE_BYTES = 64 << 20


class Source(Protocol):
    """Examples by number: a data source of Grain or TFDS, an array, a memory map."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def stream(
    source: Source,
    key: Array,
    batch_size: int,
    steps: Iterable[int],
    sharding: Sharding | None = None,
    decode: Callable[[Any], np.ndarray] = np.asarray,
    ahead: int = 2,
) -> Iterator[Array]:
    """The batches of these steps on the device: those of `batch_indices(key, step, N, B)`.

    While a step is computed the next batches are read and sent. Of a batch that is split over
    several processes each reads its own rows alone.

    Args:
        source: the examples. One with `__getitems__`, as those of Grain and TFDS, is asked for all
            rows of a part at once.
        key: decides the order; `Trainer.order_key` for that of the compiled epoch.
        batch_size: B.
        steps: numbers of training steps; `range(step, total_steps)` goes on from a checkpoint.
        sharding: how a batch is split, `sharding.batch_sharding(mesh)`; None: it is not.
        decode: makes an image (H, W, C), uint8 or float32, of an example.
        ahead: how many batches are read before they are asked for.

    Yields:
        x_BxHxWxC, float32: bytes in [0, 1], floats as they are.

    Raises:
        ValueError: fewer examples than one batch, or `ahead` below 1.

    Examples:
        >>> images = np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1)
        >>> (x,) = stream(images, jax.random.key(0), batch_size=10, steps=[3])
        >>> sorted(x.ravel().tolist()) == list(range(10))
        True
    """
    size = len(source)
    if not 1 <= batch_size <= size:
        raise ValueError(f"batch_size must be between 1 and the {size} examples, got {batch_size}")
    if ahead < 1:
        raise ValueError(f"ahead must be at least 1, got {ahead}")

    order = _orders(key, size)

    def read(step: int) -> Array:
        epoch, step_in_epoch = divmod(step, size // batch_size)
        first = step_in_epoch * batch_size
        index_B = order(epoch)[first : first + batch_size]
        return _to_device(lambda rows: _read(source, index_B[rows], decode), batch_size, sharding)

    return _to_float(_ahead(read, steps, ahead))


def stage(
    source: Rows | Labelled, key: Array, batch_size: int, turns: Iterable[tuple[int, int]]
) -> Generator[Any, None, None]:
    """The examples of the steps of some turns, read while those before are computed.

    Args:
        source: the examples, with labels or without.
        key: as in `stream`.
        batch_size: B.
        turns: (first step, number of steps), none of which leaves its epoch.

    Yields:
        images_SBxHxWxC, with their labels where the source has them, in the order of their steps
        and as they lie in the source: a turn, or a piece of it where a turn has more than 64 MiB.

    Examples:
        >>> rows = Rows([np.arange(6, dtype=np.uint8).reshape(6, 1, 1)], ["six"])
        >>> (images,) = stage(rows, jax.random.key(0), 2, [(0, 3)])
        >>> sorted(images.ravel().tolist())
        [0, 1, 2, 3, 4, 5]
    """
    order = _orders(key, len(source))
    most = max(1, PIECE_BYTES // (source.nbytes // len(source) * batch_size))
    pieces = (
        (start, min(most, first + length - start))
        for first, length in turns
        for start in range(first, first + length, most)
    )

    def read(piece: tuple[int, int]) -> Any:
        epoch, step_in_epoch = divmod(piece[0], len(source) // batch_size)
        first = step_in_epoch * batch_size
        return source[order(epoch)[first : first + piece[1] * batch_size]]

    return _ahead(read, pieces, ahead=1)


def _orders(key: Array, size: int) -> Callable[[int], np.ndarray]:
    """The order of the examples in an epoch, as a function of its number."""
    # Worked out by each process alone, beside the steps that all take together.
    data = jnp.asarray(np.asarray(jax.random.key_data(key)))
    key = jax.random.wrap_key_data(data, impl=jax.random.key_impl(key))

    @functools.lru_cache(maxsize=2)
    def order(epoch: int) -> np.ndarray:
        return np.asarray(epoch_order(key, epoch, size))

    return order


def _read(source: Source, index_B: np.ndarray, decode: Callable[[Any], np.ndarray]) -> np.ndarray:
    together = getattr(source, "__getitems__", None)
    numbers = index_B.tolist()
    examples = together(numbers) if together else [source[number] for number in numbers]
    images_BxHxWxC = np.stack([decode(example) for example in examples])
    if images_BxHxWxC.dtype not in (np.uint8, np.float32):
        raise ValueError(f"examples must be uint8 or float32, got {images_BxHxWxC.dtype}")
    return images_BxHxWxC


def _to_device(
    read: Callable[[slice], np.ndarray], batch_size: int, sharding: Sharding | None
) -> Array:
    """The batch of which `read` gives some rows; each part that belongs here is read once."""
    if sharding is None:
        return jax.device_put(read(slice(batch_size)))
    parts: dict[tuple[int, int, int], np.ndarray] = {}
    arrays = []
    for device, index in sharding.addressable_devices_indices_map((batch_size,)).items():
        rows = index[0] if index else slice(batch_size)
        bounds = rows.indices(batch_size)
        if bounds not in parts:
            parts[bounds] = read(rows)
        arrays.append(jax.device_put(parts[bounds], device))
    shape = (batch_size, *arrays[0].shape[1:])
    return jax.make_array_from_single_device_arrays(shape, sharding, arrays)


def _to_float(batches: Generator[Array, None, None]) -> Iterator[Array]:
    to_float = jax.jit(as_float)
    with contextlib.closing(batches):
        for batch in batches:
            yield to_float(batch)


def _ahead(
    read: Callable[[Step], Read], steps: Iterable[Step], ahead: int
) -> Generator[Read, None, None]:
    with ThreadPoolExecutor(ahead) as pool:
        reading: deque[Future[Read]] = deque()
        for step in steps:
            reading.append(pool.submit(read, step))
            if len(reading) > ahead:
                yield reading.popleft().result()
        while reading:
            yield reading.popleft().result()
