"""How much memory there is, and how much of it the data may take."""

import os
from pathlib import Path

import jax

SHARE = 0.25  # the rest is for what is made of the data, and for others
_CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")
_MACHINE = Path("/proc/meminfo")


def fits_in_memory(nbytes: int) -> bool:
    """Whether an array takes at most a quarter of the memory of the machine, or of the device.

    The whole memory counts, not what is free just now, so that a run that goes on decides as it did
    before.
    """
    return nbytes <= SHARE * total_bytes()


def total_bytes() -> int:
    """Memory of the machine, of the container in it, or of the device, whichever is smallest."""
    totals = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    if _CONTROL_GROUP.is_file() and (limit := _CONTROL_GROUP.read_text().strip()).isdigit():
        totals.append(int(limit))
    if stats := jax.local_devices()[0].memory_stats():
        totals.append(stats.get("bytes_limit", totals[0]))
    return min(totals)


def free_bytes(device: jax.Device) -> int:
    """Memory of a device that is free just now; of the machine where the device is its
    processor."""
    if stats := device.memory_stats():
        return stats["bytes_limit"] - stats["bytes_in_use"]
    if not _MACHINE.is_file():
        return total_bytes()
    lines = _MACHINE.read_text(encoding="ascii").splitlines()
    available = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    return min(available * 1024, total_bytes())
