"""Processes of their own, with as many CPU devices as wanted."""

import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclasses.dataclass
class Run:
    """A process that was started; its output goes to a file."""

    process: subprocess.Popen
    log: Path

    @property
    def text(self) -> str:
        """What it said so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def finish(self, code: int = 0, timeout: float = 600) -> str:
        """What it said until it ended with this exit code."""
        try:
            assert self.process.wait(timeout) == code, self.text
        finally:
            self.kill()
        return self.text

    def kill(self) -> None:
        """Ends it, however it is."""
        self.process.kill()
        self.process.wait()


def command(arguments: list[str], log: Path, devices: int = 1) -> Run:
    """Starts `python ARGUMENTS` at the root of the repository."""
    variables = {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "PYTHONPATH": str(ROOT),
    }
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=os.environ | variables,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    return Run(process, log)


def launch(role: str, folder: Path, *arguments: str, devices: int) -> Run:
    """Starts `worker.py` in that role."""
    log = folder / f"{'-'.join((role, *arguments[1:]))}.log"
    return command(
        ["-m", "tests.multidevice.worker", role, str(folder), *arguments], log, devices=devices
    )


def join(folder: Path, processes: int) -> list[Run]:
    """Starts `worker.py` in so many processes of one device each."""
    address = coordinator()
    return [
        launch("join", folder, address, str(processes), str(process), devices=1)
        for process in range(processes)
    ]


def coordinator() -> str:
    """A free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"
