"""The software and hardware a measurement depends on."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax


def environment() -> dict[str, Any]:
    """Versions, commit, processor and devices; nothing that identifies the host or the user."""
    devices = jax.devices()
    values: dict[str, Any] = {"vae_topk_jax": _version("vae_topk_jax"), "git_commit": _commit()}
    values["python"] = platform.python_version()
    values |= {name: _version(name) for name in ("jax", "flax", "optax", "numpy")}
    values["platform"] = f"{platform.system()} {platform.machine()}"
    values["cpu"] = _cpu_model()
    values["cpu_count"] = os.cpu_count()
    values["device_kind"] = ", ".join(sorted({device.device_kind for device in devices}))
    values["device_count"] = len(devices)
    return {name: value for name, value in values.items() if value}


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
