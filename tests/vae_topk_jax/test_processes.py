"""What `start` makes of flags and of what launchers tell."""

import jax
import pytest

from vae_topk_jax.processes import agreed, is_main, largest, main_first, start


@pytest.fixture
def joined(monkeypatch):
    """What jax was asked to join."""
    calls = []
    variables = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    mpi = ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK")
    for name in (*variables, *mpi, "OMPI_MCA_orte_hnp_uri", "JOB_COMPLETION_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    monkeypatch.setattr(
        jax.distributed,
        "initialize",
        lambda *place, **options: calls.append((*place, options["local_device_ids"])),
    )
    return calls


@pytest.mark.parametrize(
    ("flags", "variables", "place"),
    [
        (("a:1", 4, 3), {}, ("a:1", 4, 3, None)),
        ((), {}, (None, None, None, None)),
        (
            (),
            {"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1"},
            ("a:1", 2, 1, None),
        ),
        (
            (),
            {
                "JAX_COORDINATOR_ADDRESS": "a:1",
                "OMPI_COMM_WORLD_SIZE": "8",
                "OMPI_COMM_WORLD_RANK": "5",
                "OMPI_COMM_WORLD_LOCAL_RANK": "1",
            },
            ("a:1", 8, 5, [1]),
        ),
        (
            (),
            {
                "JAX_COORDINATOR_ADDRESS": "a:1",
                "JAX_NUM_PROCESSES": "2",
                "JOB_COMPLETION_INDEX": "1",
            },
            ("a:1", 2, 1, None),
        ),
        (("a:1", None, None), {}, ("a:1", None, None, None)),
    ],
    ids=["flags", "alone", "variables", "Open MPI 5", "JobSet", "left to jax"],
)
def test_a_process_finds_its_place(joined, monkeypatch, flags, variables, place):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    start(*flags)
    assert joined == [place]


@pytest.mark.parametrize(
    ("flags", "variables", "message"),
    [
        (("nowhere", 2, 0), {}, "coordinator must be HOST:PORT, got 'nowhere'"),
        (("a:99999", 2, 0), {}, "coordinator must be HOST:PORT, got 'a:99999'"),
        (("a:1", 0, 0), {}, "processes must be at least 1, got 0"),
        (("a:1", 2, 2), {}, "process must be at least 0 and below processes, got 2"),
        ((None, 2, 0), {}, "coordinator must be given with processes 2 and process 0"),
        (
            ("a:1", None, None),
            {"JAX_NUM_PROCESSES": "two"},
            "JAX_NUM_PROCESSES must be a number of 0 or more, got 'two'",
        ),
        ((), {"OMPI_COMM_WORLD_SIZE": "2"}, "coordinator must be given under Open MPI 5"),
    ],
)
def test_what_cannot_be_is_named(joined, monkeypatch, flags, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        start(*flags)
    assert not joined


def test_one_process_does_everything_itself():
    with main_first("nothing"):
        assert is_main()
    assert (agreed("text"), largest(3)) == ("text", 3)
