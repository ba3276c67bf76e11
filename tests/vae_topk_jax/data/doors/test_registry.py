"""Every door: what it reads is what was written, held out or not, in the memory or not; a damaged
file is named."""

import signal

import numpy as np
import pytest

from tests.helpers import doors
from tests.helpers.runs import bits
from vae_topk_jax import Config, fit
from vae_topk_jax.checkpoint import restore_checkpoint
from vae_topk_jax.data import DataError, DataOptions, Rows, load_dataset, memory
from vae_topk_jax.data.doors.registry import DOORS, find_door
from vae_topk_jax.runs.inputs import PIXELS, load_inputs
from vae_topk_jax.runs.interruption import Interrupted
from vae_topk_jax.runs.scalars import JsonLines, read_scalars

every_door = pytest.mark.parametrize("name", doors.MAKERS)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What each name is made to, once."""
    known: dict[str, doors.Made] = {}

    def make(name: str) -> doors.Made:
        if name not in known:
            known[name] = doors.MAKERS[name](tmp_path_factory.mktemp(name))
        return known[name]

    return make


def sorted_rows(images) -> list[bytes]:
    return sorted(row.tobytes() for row in np.asarray(images))


def all_rows(data) -> list[bytes]:
    return sorted(sorted_rows(data.train_images) + sorted_rows(data.test_images))


def test_every_door_is_tried(made):
    opened = {find_door(made(name).path) for name in doors.MAKERS}
    assert opened == {*DOORS}


@every_door
def test_what_is_read_is_what_was_written(made, name):
    path, images, _, options, has_labels = made(name)
    data = load_dataset(path, options)
    assert data.train_images.dtype == images.dtype
    if options.limit is None:
        assert all_rows(data) == sorted_rows(images)
    else:
        assert {*all_rows(data)} <= {*sorted_rows(images)}
    assert (data.train_labels is not None) == has_labels
    if has_labels:
        number = {row.tobytes(): label for row, label in zip(images, doors.NUMBERS, strict=True)}
        labels = [number[image.tobytes()] for image in data.train_images]
        assert data.train_labels.tolist() == labels
    assert str(path.parent) not in data.source


@every_door
def test_larger_than_the_memory_it_stays_where_it_is(made, name, monkeypatch):
    path, _, _, options, _ = made(name)
    with monkeypatch.context() as patch:
        patch.setattr(memory, "total_bytes", lambda: 0)
        rows = load_dataset(path, options)
    whole = load_dataset(path, options)
    if name != "idx_folder":  # small by its format: it is read into the memory first
        assert isinstance(rows.train_images, Rows)
    assert rows.digest == whole.digest
    np.testing.assert_array_equal(rows.train_images[:], whole.train_images)
    assert rows.train_images.nbytes == whole.train_images.nbytes


@every_door
def test_a_file_that_is_cut_short_is_named(tmp_path, name):
    path, _, damaged, options, _ = doors.MAKERS[name](tmp_path)
    content = damaged.read_bytes()
    # A table of text is damaged where a row lacks a column.
    end = content.rindex(b",") if name == "csv" else len(content) // 2
    damaged.write_bytes(content[:end])
    with pytest.raises(DataError) as refused:
        load_dataset(path, options)
    assert damaged.name in str(refused.value)
    assert "\n" not in str(refused.value)


@every_door
def test_an_empty_file_is_named(tmp_path, name):
    path, _, damaged, options, _ = doors.MAKERS[name](tmp_path)
    damaged.write_bytes(b"")
    with pytest.raises(DataError, match=damaged.name):
        load_dataset(path, options)


@every_door
def test_options_without_effect_are_refused(made, name):
    path = made(name).path
    takes = find_door(path).takes
    for option in {"image_size": 9, "colour": "rgb", "skip_broken": True, "tensor": "x"}.items():
        if option[0] not in takes:
            with pytest.raises(DataError, match=f"{option[0]} changes nothing of .*: leave it out"):
                load_dataset(path, DataOptions(**dict([option])))


def config_of(data) -> Config:
    sizes = {"latent_dim": 8, "k": 2, "batch_size": 16, "epochs": 2}
    if data.image_shape[:2] == (1, 1):
        return Config("batch_topk_sae", **sizes)
    return Config("top_k_vae", widths=(8,), sensitivity_every=0, **sizes)


@pytest.mark.long
@pytest.mark.parametrize("name", ["idx_folder", "tensors", "hugging_face", "pictures"])
def test_it_trains_resumes_and_streams_with_the_same_bits(made, name, tmp_path, monkeypatch):
    path, _, _, options, _ = made(name)
    data = load_dataset(path, options)
    config = config_of(data)
    fit(data, config, out=tmp_path / "whole", progress=False)

    monkeypatch.setattr(memory, "total_bytes", lambda: 0)
    inputs = load_inputs(PIXELS, load_dataset(path, options))
    write = JsonLines.write

    def write_and_be_asked_to_stop(scalars, step, values):
        write(scalars, step, values)
        if step == 2:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(JsonLines, "write", write_and_be_asked_to_stop)
        with pytest.raises(Interrupted):
            fit(inputs, config, out=tmp_path / "stopped", progress=False)
    fit(inputs, out=tmp_path / "stopped", resume=True, progress=False)

    runs = [tmp_path / "whole", tmp_path / "stopped"]
    whole, stopped = (bits(restore_checkpoint(run).state) for run in runs)
    assert whole == stopped
    assert read_scalars(runs[0] / "scalars.jsonl") == read_scalars(runs[1] / "scalars.jsonl")
