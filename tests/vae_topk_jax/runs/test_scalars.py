"""Where scalars go: each sink as a run uses it, stopped and resumed."""

import math
import sys
import types

import pytest

from vae_topk_jax.runs import scalars as sinks
from vae_topk_jax.runs.scalars import (
    SCALARS,
    JsonLines,
    Sinks,
    WeightsAndBiases,
    open_sinks,
    read_scalars,
)


class StandIn(types.ModuleType):
    """The part of wandb that is used; keeps the arguments of its calls."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.opened: list[dict] = []
        self.logged: list[tuple[int, dict]] = []
        self.exit_codes: list[int] = []

    def init(self, **options):
        self.opened.append(options)
        return self

    def log(self, values, step):
        self.logged.append((step, values))

    def finish(self, exit_code):
        self.exit_codes.append(exit_code)


@pytest.fixture
def wandb(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", standin := StandIn())
    return standin


def test_a_resumed_run_repeats_no_line(tmp_path):
    with open_sinks(tmp_path, 0, {}) as run:
        for step in (1, 2, 3):
            run.write(step, {"loss": 1 / step})
    with open_sinks(tmp_path, 2, {}) as run:
        run.write(3, {"loss": math.nan})
    lines = read_scalars(tmp_path / SCALARS)
    assert lines == [{"step": 1, "loss": 1}, {"step": 2, "loss": 0.5}, {"step": 3, "loss": None}]


def test_tensorboard_gets_the_values(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    with open_sinks(tmp_path, 0, {}) as run:
        run.write(7, {"loss": 0.5})
    (file,) = (tmp_path / "tensorboard").iterdir()
    content, events = file.read_bytes(), []
    while content:
        size = int.from_bytes(content[:8], "little")
        record = content[12 : 12 + size]
        assert int.from_bytes(content[12 + size : 16 + size], "little") == masked_crc32c(record)
        events.append(Event.FromString(record))
        content = content[16 + size :]
    values = [(e.step, v.tag, v.simple_value) for e in events for v in e.summary.value]
    assert values == [(7, "loss", 0.5)]


def test_without_tensorboard_the_file_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(sinks.importlib.util, "find_spec", lambda name: None)
    with open_sinks(tmp_path, 0, {}) as run:
        run.write(1, {"loss": 1.0})
    assert [path.name for path in tmp_path.iterdir()] == [SCALARS]


def test_wandb_gets_the_values_and_one_run_however_often_it_resumes(tmp_path, wandb):
    with open_sinks(tmp_path, 0, {"k": 8}, wandb="digits") as run:
        run.write(1, {"loss": 0.5})
    again = open_sinks(tmp_path, 1, {"k": 8}, wandb="digits")
    again.write(2, {"loss": 0.25})
    again.__exit__(ZeroDivisionError, None, None)
    first, second = wandb.opened
    assert first == second
    assert (first["project"], first["config"], first["resume"]) == ("digits", {"k": 8}, "allow")
    assert first["id"] == (tmp_path / "wandb-id").read_text()
    assert wandb.logged == [(1, {"loss": 0.5}), (2, {"loss": 0.25})]
    assert wandb.exit_codes == [0, 1]


def test_runs_in_other_folders_are_other_runs(tmp_path, wandb):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        WeightsAndBiases(tmp_path / name, "digits", {})
    assert len({options["id"] for options in wandb.opened}) == 2


def test_wandb_that_is_not_there_is_said_and_not_asked_for_by_itself(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with open_sinks(tmp_path, 0, {}) as run:
        run.write(1, {"loss": 0.5})
    with pytest.raises(ValueError, match=r"wandb is not installed: pip install .*wandb"):
        open_sinks(tmp_path, 0, {}, wandb="digits")


def test_any_object_with_the_two_methods_is_a_sink(tmp_path):
    class Kept:
        steps: list[int] = []  # noqa: RUF012

        def write(self, step, values):
            self.steps.append(step)

        def close(self, *, failed):
            self.steps.append(-1)

    with Sinks(Kept(), JsonLines(tmp_path)) as run:
        run.write(4, {"loss": 1.0})
    assert Kept.steps == [4, -1]
