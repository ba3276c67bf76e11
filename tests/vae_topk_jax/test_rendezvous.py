"""The processes of a run meet, or each of them gets one line."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from vae_topk_jax.rendezvous import meet


@pytest.fixture
def address():
    """A free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return f"127.0.0.1:{port}"


def outcomes(*calls) -> list[str]:
    """What each process ends with, when all call `meet` at once."""

    def outcome(call):
        try:
            meet(*call, seconds=2)
        except ValueError as error:
            return str(error)
        return "met"

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(outcome, calls))


def test_all_processes_meet_and_free_the_port(address):
    for _ in range(2):
        assert outcomes(*[(address, 4, process) for process in range(4)]) == ["met"] * 4


def test_one_process_meets_itself(address):
    assert outcomes((address, 1, 0)) == ["met"]


def test_a_process_that_does_not_come_is_named_to_all(address):
    first, second = outcomes((address, 4, 0), (address, 4, 2))
    assert first == second
    assert first.endswith("of 4, processes 1, 3 did not come")


@pytest.mark.long
def test_a_wrong_port_is_named(address):
    with socket.create_server(("127.0.0.1", 0)) as other:
        wrong = f"127.0.0.1:{other.getsockname()[1]}"
        first, second = outcomes((address, 2, 0), (wrong, 2, 1))
    assert "process 1 did not come" in first
    assert f"{wrong} did not answer process 1" in second


def test_of_two_processes_0_one_is_refused_at_once(address):
    ended = outcomes((address, 2, 0), (address, 2, 0))
    assert sum("is there another process 0?" in line for line in ended) == 1
    assert sum("process 1 did not come" in line for line in ended) == 1


def test_a_number_that_two_processes_have_ends_all(address):
    ended = outcomes((address, 4, 0), (address, 4, 1), (address, 4, 1))
    assert {*ended} == {"process must be another number in each process, got 1 twice"}


def test_counts_that_differ_end_all(address):
    ended = outcomes((address, 2, 0), (address, 3, 1))
    expected = (
        "processes must be the same in all processes: it is 2 in process 0 and 3 in process 1"
    )
    assert ended == [expected, expected]


@pytest.mark.parametrize(
    "content", [b"", b"GET / HTTP/1.1\r\n\r\n", b"null\n", b'{"process": "1"}\n']
)
def test_a_probe_of_the_port_is_no_process(address, content):
    host, _, port = address.partition(":")
    called = threading.Thread(target=outcomes, args=[(address, 2, 0)])
    called.start()
    while True:
        try:
            with socket.create_connection((host, int(port))) as probe:
                probe.sendall(content)
            break
        except ConnectionRefusedError:
            continue
    assert outcomes((address, 2, 1)) == ["met"]
    called.join()
