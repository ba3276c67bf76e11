"""Rows: what an array of the same examples gives, read when it is asked for."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from vae_topk_jax.data import DataError, Dataset, Rows, load_dataset, memory
from vae_topk_jax.data import rows as rows_module
from vae_topk_jax.data.rows import chunks, in_memory, select
from vae_topk_jax.files import CACHE_VARIABLE

ARRAY = np.random.default_rng(0).integers(0, 256, (23, 3, 2), np.uint8)
WHOLE = ARRAY[..., None]


def rows_of(*ends: int) -> Rows:
    parts = np.split(ARRAY, ends)
    return Rows(parts, [f"part {number}" for number in range(len(parts))])


@hypothesis.given(
    ends=strategies.lists(strategies.integers(1, 22), unique=True).map(sorted),
    index=strategies.lists(strategies.integers(-23, 22)),
)
@hypothesis.settings(deadline=None, max_examples=60)
def test_numbers_give_what_they_give_of_the_array(ends, index):
    numbers = np.array(index, np.int64)
    np.testing.assert_array_equal(rows_of(*ends)[numbers], WHOLE[numbers])


@pytest.mark.parametrize("index", [3, -1, slice(2, 9), slice(None, None, -3), slice(0, 0)])
def test_a_number_or_a_slice_gives_what_it_gives_of_the_array(index):
    np.testing.assert_array_equal(rows_of(4, 11)[index], WHOLE[index])


def test_selected_rows_are_those_of_the_selected_array():
    order = np.random.default_rng(1).permutation(23)
    picked = rows_of(4, 11).select(order).select(np.arange(5, 15))
    np.testing.assert_array_equal(picked, WHOLE[order[5:15]])
    np.testing.assert_array_equal(select(WHOLE, order), select(rows_of(9), order))


@pytest.mark.parametrize("index", [23, -24, [0, 99]])
def test_numbers_beyond_the_last_are_refused(index):
    with pytest.raises(IndexError, match="there are 23 examples"):
        rows_of(4)[index]


def test_chunks_are_all_examples_in_order(monkeypatch):
    monkeypatch.setattr(rows_module, "CHUNK_BYTES", 5 * 6)
    pieces = [*rows_of(4, 11).chunks()]
    assert [len(piece) for piece in pieces] == [5, 5, 5, 5, 3]
    np.testing.assert_array_equal(np.concatenate(pieces), WHOLE)
    in_fortran_order = np.asfortranarray(WHOLE)
    np.testing.assert_array_equal(np.concatenate([*chunks(in_fortran_order)]), WHOLE)


def test_what_fits_becomes_an_array_and_what_does_not_becomes_rows(monkeypatch):
    assert isinstance(in_memory(rows_of(4)), np.ndarray)
    monkeypatch.setattr(memory, "total_bytes", lambda: 4 * WHOLE.nbytes - 1)
    assert isinstance(in_memory(rows_of(4)), Rows)
    assert isinstance(in_memory(WHOLE), Rows)
    np.testing.assert_array_equal(in_memory(WHOLE), WHOLE)


def test_the_fingerprint_changes_with_the_file_and_the_order(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, ARRAY)
    first = Rows([np.load(path, mmap_mode="r")], ["a"])
    assert first.fingerprint == Rows([np.load(path, mmap_mode="r")], ["a"]).fingerprint != ""
    assert first.select(np.arange(5)).fingerprint != first.fingerprint
    np.save(path, np.concatenate([ARRAY, ARRAY]))
    assert Rows([np.load(path, mmap_mode="r")], ["a"]).fingerprint != first.fingerprint
    assert rows_of(4).fingerprint == ""  # of arrays that are in the memory nothing is known


def test_memory_maps_are_not_read_before_they_are_asked_for(tmp_path):
    values = np.ones((4, 5), np.float32)
    values[3, 2] = np.nan
    np.save(tmp_path / "a.npy", values)
    rows = Rows([np.load(tmp_path / "a.npy", mmap_mode="r")], ["a.npy"])
    np.testing.assert_array_equal(rows[:3], 1)
    with pytest.raises(DataError, match=r"a.npy: expected finite values .* in example 3"):
        rows[[0, 3]]


def test_the_memory_of_the_machine_is_known(monkeypatch, tmp_path):
    assert 1 << 28 < memory.total_bytes() < 1 << 50
    limit = tmp_path / "memory.max"
    limit.write_text("4000\n")
    monkeypatch.setattr(memory, "_CONTROL_GROUP", limit)
    assert memory.total_bytes() == 4000
    assert memory.fits_in_memory(1000)
    assert not memory.fits_in_memory(1001)
    limit.write_text("max\n")
    assert memory.total_bytes() > 4000


def test_the_digest_of_large_files_is_worked_out_once(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    path = tmp_path / "a.npy"
    np.save(path, ARRAY)
    monkeypatch.setattr(memory, "total_bytes", lambda: 4 * WHOLE[:5].nbytes)  # of the test split
    digest = load_dataset(path).digest
    with monkeypatch.context() as patch:
        patch.setattr(Dataset, "_hash", lambda _: pytest.fail("read again"))
        assert load_dataset(path).digest == digest
    monkeypatch.setattr(memory, "total_bytes", lambda: 1 << 30)
    assert load_dataset(path).digest == digest
    np.save(path, ARRAY[::-1])
    assert load_dataset(path).digest != digest
