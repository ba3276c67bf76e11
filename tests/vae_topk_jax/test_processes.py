"""What `start` makes of flags and of what launchers tell."""

import json

import jax
import pytest

from vae_topk_jax.processes import (
    agreed,
    all_or_none,
    is_main,
    largest,
    main_first,
    require_same,
    start,
)


@pytest.fixture
def joined(monkeypatch):
    """What jax was asked to join."""
    calls = []
    variables = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    mpi = ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK")
    for name in (*variables, *mpi, "OMPI_MCA_orte_hnp_uri", "JOB_COMPLETION_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    monkeypatch.setattr("vae_topk_jax.processes.meet", lambda *_: None)
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
    require_same({"k": 3})


@pytest.fixture
def second_of_three(monkeypatch):
    """Process 1 of three; what the others have is given as a function of what this one has."""

    def among(first, third) -> None:
        monkeypatch.setattr(jax, "process_count", lambda: 3)
        monkeypatch.setattr(jax, "process_index", lambda: 1)
        gather = lambda own: [first(own), own, third(own)]  # noqa: E731
        monkeypatch.setattr("vae_topk_jax.processes.gathered", gather)

    return among


@pytest.mark.parametrize(
    ("own", "theirs", "message"),
    [
        ({"k": 3, "seed": 0}, {"k": 4, "seed": 0}, "k must be .*: it is 3 in process 0 and 4 in "),
        (
            {"k": 3},
            {"k": 3, "new": 0.5},
            "new must be .* None in process 0 and 0.5 in process 2",
        ),
        ({"rate": 1.0}, {"rate": 1}, "rate must be .* is 1.0 in process 0 and 1 in process 2"),
    ],
)
def test_what_differs_between_processes_is_named_with_both_values(
    second_of_three, own, theirs, message
):
    theirs = json.dumps({name: repr(value) for name, value in theirs.items()})
    second_of_three(lambda text: text, lambda text: theirs)
    with pytest.raises(ValueError, match=message):
        require_same(own)
    second_of_three(lambda text: text, lambda text: text)
    require_same(own)


def test_an_error_of_one_process_is_raised_in_all(second_of_three):
    second_of_three(lambda text: "", lambda text: "no folder 'a'")
    with pytest.raises(ValueError, match="process 2: no folder 'a'"), all_or_none():
        pass
    second_of_three(lambda text: "", lambda text: "")
    with pytest.raises(OSError, match="mine"), all_or_none():
        raise OSError("mine")
    with all_or_none():
        pass
