"""Several processes as one run: how they find each other, and what one of them does for all."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from vae_topk_jax.rendezvous import meet

# After so many seconds without a sign of life a process counts as dead, and the others end.
HEARTBEAT = 30
# How long a process that ends waits for the others to end.
_FAREWELL = 10
# What launchers set and jax itself does not use; the first that is set counts.
_COUNTS = ("JAX_NUM_PROCESSES", "OMPI_COMM_WORLD_SIZE")
_IDS = ("JAX_PROCESS_ID", "OMPI_COMM_WORLD_RANK", "JOB_COMPLETION_INDEX")


def start(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    """Joins this process to the others of its run. Call it before anything touches a device.

    What is not given comes from the environment: under SLURM, Open MPI 4, Kubernetes (with the
    package `kubernetes`) and on TPU pods jax finds it out by itself. Anywhere else
    JAX_COORDINATOR_ADDRESS says where process 0 is; with it the number and the id may come from
    JAX_NUM_PROCESSES and JAX_PROCESS_ID, from Open MPI 5, or the id from an indexed Job or JobSet
    of Kubernetes (JOB_COMPLETION_INDEX). Where there is nothing of all this, the process is alone
    and has all devices of its machine.

    Args:
        coordinator: HOST:PORT at which process 0 can be reached by all.
        processes: how many there are.
        process: the number of this one, from 0.

    Raises:
        ValueError: an address, number or id that cannot be, some of them missing, or, where all
            three are known, processes that have not come after 40 seconds or contradict each other.
    """
    _check(coordinator, processes, process)
    coordinator = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    if coordinator is not None:
        processes = _first_of(_COUNTS) if processes is None else processes
        process = _first_of(_IDS) if process is None else process
        _check(coordinator, processes, process)
        if processes is not None and process is not None:
            meet(coordinator, processes, process)
    elif "OMPI_COMM_WORLD_SIZE" in os.environ and "OMPI_MCA_orte_hnp_uri" not in os.environ:
        raise ValueError(
            "coordinator must be given under Open MPI 5, as mpirun -x "
            "JAX_COORDINATOR_ADDRESS=HOST:PORT with the host of process 0"
        )
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    local_rank = os.environ.get("OMPI_COMM_WORLD_LOCAL_RANK")
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            local_device_ids=None if local_rank is None else [int(local_rank)],
            cluster_detection_method=None if None in (processes, process) else "deactivate",
            heartbeat_timeout_seconds=HEARTBEAT,
            shutdown_timeout_seconds=_FAREWELL,
        )
    except ValueError as error:
        if coordinator is not None:
            raise ValueError(
                f"processes and process must be given with coordinator {coordinator}: {error}"
            ) from None
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"coordinator {coordinator or ''} cannot be reached: {reason}") from None


def is_main() -> bool:
    """Whether this is process 0, the one that writes."""
    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Returns when all processes have called it; at once where there is but one."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


@contextlib.contextmanager
def main_first(name: str) -> Iterator[None]:
    """What is inside is done by process 0 first, by the others when it is through."""
    if not is_main():
        barrier(name)
    try:
        yield
    finally:
        if is_main():
            barrier(name)


def agreed(text: str) -> str:
    """Process 0's text in every process."""
    return gathered(text)[0]


def gathered(text: str) -> list[str]:
    """The text of each process, in every process."""
    if jax.process_count() == 1:
        return [text]
    content = np.frombuffer(text.encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(len(content)))
    padded = np.zeros(max(sizes), np.uint8)
    padded[: len(content)] = content
    rows = multihost_utils.process_allgather(padded)
    return [bytes(row[:size]).decode() for row, size in zip(rows, sizes, strict=True)]


@contextlib.contextmanager
def all_or_none() -> Iterator[None]:
    """What is inside is done in all processes, or an error of one of them is raised in all.

    Raises:
        ValueError: the message of the first process that had an error.
    """
    error: Exception | None = None
    try:
        yield
    except (ValueError, OSError, MemoryError) as raised:
        error = raised
    if jax.process_count() == 1 and error is not None:
        raise error
    texts = gathered("" if error is None else f"{error or type(error).__name__}")
    for process, text in enumerate(texts):
        if text:
            if error is not None and process == jax.process_index():
                raise error
            raise ValueError(f"process {process}: {text}") from None


def require_same(values: Mapping[str, Any]) -> None:
    """Compares what all processes of a run must have in common.

    Args:
        values: by name, of types that `repr` tells apart.

    Raises:
        ValueError: in every process; names the first value that differs, and both values.
    """
    own = {name: repr(value) for name, value in values.items()}
    first, *others = map(json.loads, gathered(json.dumps(own)))
    for process, other in enumerate(others, start=1):
        for name in first | other:
            if first.get(name) != other.get(name):
                raise ValueError(
                    f"{name} must be the same in all processes: it is {first.get(name)} in process "
                    f"0 and {other.get(name)} in process {process}"
                )


def largest(value: int) -> int:
    """The largest of all processes' values, in every process."""
    if jax.process_count() == 1:
        return value
    return int(np.max(multihost_utils.process_allgather(np.int32(value))))


def _first_of(names: tuple[str, ...]) -> int | None:
    for name in names:
        if (text := os.environ.get(name)) is not None:
            if not text.isdecimal():
                raise ValueError(f"{name} must be a number of 0 or more, got {text!r}")
            return int(text)
    return None


def _check(coordinator: str | None, processes: int | None, process: int | None) -> None:
    if coordinator is None and (processes, process) != (None, None):
        raise ValueError(
            f"coordinator must be given with processes {processes} and process {process}"
        )
    if coordinator is not None:
        host, _, port = coordinator.rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 2**16):
            raise ValueError(f"coordinator must be HOST:PORT, got {coordinator!r}")
    if processes is not None and processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}")
    if process is not None and not 0 <= process < (processes or 2**31):
        raise ValueError(f"process must be at least 0 and below processes, got {process}")
