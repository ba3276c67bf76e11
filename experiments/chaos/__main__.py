"""What the library withstands: faults tried many times, and a table of what came of them.

python -m experiments.chaos --out runs/chaos
python -m experiments.chaos --only damage nonfinite --share 0.1
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

from rich.table import Table

from experiments.chaos.disagreement import cases, disagreement
from experiments.chaos.faults import (
    arrays,
    configurations,
    damage,
    data,
    disk,
    endurance,
    foreign,
    nonfinite,
)
from experiments.chaos.hostile_clients import clients
from experiments.chaos.hostile_hubs import hubs
from experiments.chaos.hostile_visitors import visitors
from experiments.chaos.kills import first_save, kill
from experiments.chaos.large_arrays import large_arrays
from experiments.chaos.late_steps import late_steps
from experiments.chaos.readers import readers
from experiments.chaos.torn_logs import torn_logs
from experiments.records.environment import environment
from experiments.terminal import cli
from vae_topk_jax.files import write_atomic
from vae_topk_jax.runs.progress import console

FAULTS: dict[str, tuple[Callable[[int], str], int]] = {
    "kill": (kill, 100),
    "first_save": (first_save, 100),
    "readers": (readers, 500),
    "late_steps": (late_steps, 100),
    "torn_logs": (torn_logs, 1000),
    "disagreement": (disagreement, len([*cases()])),
    "damage": (damage, 200),
    "data": (data, 200),
    "disk": (disk, 20),
    "nonfinite": (nonfinite, 50),
    "configurations": (configurations, 1000),
    "arrays": (arrays, 1000),
    "foreign": (foreign, 2000),
    "clients": (clients, 1000),
    "visitors": (visitors, 1000),
    "large_arrays": (large_arrays, 20),
    "hubs": (hubs, 200),
    "endurance": (endurance, 1_000_000),
}


def main(out: Path = Path("runs/chaos"), only: tuple[str, ...] = (), share: float = 1.0) -> None:
    """Tries the faults and prints what came of them.

    Args:
        out: folder of chaos.json.
        only: names of the faults to try, all if none is given.
        share: of the usual number of trials.
    """
    if unknown := sorted(set(only) - FAULTS.keys()):
        raise ValueError(f"only must name faults among {sorted(FAULTS)}, got {unknown}")
    if not share > 0:
        raise ValueError(f"share must be positive, got {share}")
    out.mkdir(parents=True, exist_ok=True)
    rows, table = [], Table("fault", "trials", "outcome")
    for name, (fault, usual) in FAULTS.items():
        if only and name not in only:
            continue
        trials, started = max(1, round(share * usual)), time.perf_counter()
        outcome = fault(trials)
        seconds = round(time.perf_counter() - started, 1)
        summary = " ".join((fault.__doc__ or "").split())
        about = {"fault": name, "what": summary, "trials": trials, "outcome": outcome}
        rows.append(about | {"seconds": seconds})
        table.add_row(name, str(trials), outcome)
        console.print(f"{name}: {trials} trials in {seconds} s: {outcome}")
        document = json.dumps({"environment": environment(), "rows": rows}, indent=1) + "\n"
        write_atomic(out / "chaos.json", document.encode())
    console.print(table)


if __name__ == "__main__":
    cli.run(main)
