"""How much memory there is, and how much something takes."""

from pathlib import Path
from typing import Any

import jax

from vae_topk_jax.data.memory import free_bytes

_SHARE = 0.5  # of what is free, for one array and what is made of it


def fits(compiled: Any) -> bool:
    """Whether a compiled program's arguments, results and workspace leave half of the free memory
    to others."""
    needs = compiled.memory_analysis()
    total = needs.argument_size_in_bytes + needs.output_size_in_bytes + needs.temp_size_in_bytes
    return total <= _SHARE * free_bytes(jax.devices()[0])


def peak_mebibytes() -> dict[str, float]:
    """The most that this process has held so far: of the machine's memory, and of a device's."""
    # Not ru_maxrss: after exec it starts from the peak of the parent.
    peaks = {"peak_mib": _kibibytes("/proc/self/status", "VmHWM") / 1024}
    if stats := jax.devices()[0].memory_stats():
        peaks["peak_device_mib"] = stats["peak_bytes_in_use"] / 2**20
    return peaks


def _kibibytes(path: str, field: str) -> int:
    lines = Path(path).read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
