"""`experiments.train --distributed` in two processes: stopped, killed, resumed."""

import re
import signal
import time

import numpy as np
import pytest

from experiments.records.rows import read_results
from tests.multidevice.launch import Run, command, coordinator
from tests.multidevice.worker import bits, images
from vae_topk_jax.checkpoint import restore_checkpoint
from vae_topk_jax.checkpoint_folder import checkpoints, latest_checkpoint
from vae_topk_jax.data.idx import write_idx
from vae_topk_jax.runs.scalars import read_scalars

pytestmark = pytest.mark.long

FLAGS = ["--latent-dim", "8", "--k", "2", "--widths", "16", "--batch-size", "32", "--segment", "4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    (folder / "spots").mkdir()
    for stem, n in (("train", 320), ("t10k", 64)):
        write_idx(folder / "spots" / f"{stem}-images-idx3-ubyte", images()[:n, ..., 0])
        write_idx(folder / "spots" / f"{stem}-labels-idx1-ubyte", np.zeros(n, np.uint8))
    return folder


def start(folder, out: str, *flags: str) -> list[Run]:
    address = coordinator()
    return [
        command(
            [
                *("-m", "experiments.train", "--distributed", "--coordinator", address),
                *("--processes", "2", "--process", str(process)),
                *("--data", str(folder / "spots"), "--out", str(folder / out), *flags),
            ],
            folder / f"{out}-{process}-{time.monotonic_ns()}.log",
        )
        for process in range(2)
    ]


def wait_for_step(folder, out: str, step: int, runs: list[Run]) -> None:
    while not any(line["step"] >= step for line in read_scalars(folder / out / "scalars.jsonl")):
        assert all(run.process.poll() is None for run in runs), [run.text for run in runs]
        time.sleep(0.02)


def test_two_processes_stop_at_a_signal_to_one_and_go_on_to_the_same_bits(folder):
    for run in start(folder, "whole", *FLAGS, "--epochs", "4"):
        run.finish()
    runs = start(folder, "stopped", *FLAGS, "--epochs", "4")
    wait_for_step(folder, "stopped", 8, runs)
    runs[1].process.send_signal(signal.SIGTERM)
    for run in runs:
        assert re.search(r"SIGTERM: saved step \d+; go on with --resume", run.finish(code=143))
    assert latest_checkpoint(folder / "stopped" / "checkpoints").name < "00000040"
    for run in start(folder, "stopped", "--resume", "--segment", "4"):
        run.finish()

    whole, stopped = (
        restore_checkpoint(folder / out / "checkpoints") for out in ("whole", "stopped")
    )
    assert bits(whole.state) == bits(stopped.state)
    assert int(whole.state.step) == 40
    told = [read_scalars(folder / out / "scalars.jsonl") for out in ("whole", "stopped")]
    assert told[0] == told[1]
    assert [line["step"] for line in told[0]] == sorted({line["step"] for line in told[0]})
    (row,) = read_results(folder / "whole").rows
    assert np.isfinite(row.metrics["psnr"])


@pytest.mark.parametrize("victim", [0, 1])
def test_when_a_process_is_killed_the_other_ends_soon_and_the_last_checkpoint_is_whole(
    folder, victim
):
    out = f"killed-{victim}"
    runs = start(folder, out, *FLAGS, "--epochs", "100000")
    wait_for_step(folder, out, 8, runs)
    runs[victim].kill()
    survivor = runs[1 - victim]
    assert survivor.process.wait(timeout=60) != 0
    assert re.search(r"lost contact with another process|another task died", survivor.text)
    found = checkpoints(folder / out / "checkpoints")
    assert int(restore_checkpoint(found[-1]).state.step) == int(found[-1].name) > 0
