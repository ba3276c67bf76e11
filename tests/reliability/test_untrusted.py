"""Files from strangers: nothing in them runs, and none takes more memory than its size allows."""

import contextlib
import dataclasses
import gc
import gzip
import json
import os
import pickle
import shutil
import struct
import sys
import tracemalloc
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors

from tests.helpers.checkpoints import GOLDEN, rewrite_about
from tests.helpers.idx_files import idx_bytes, small_arrays, write_folder
from vae_topk_jax import load, manifest
from vae_topk_jax.checkpoint import CheckpointError, restore_checkpoint
from vae_topk_jax.checkpoint_folder import read_info
from vae_topk_jax.data import DataError, idx, load_dataset
from vae_topk_jax.data.idx import read_idx
from vae_topk_jax.interop import load_dictionary_learning, load_saelens
from vae_topk_jax.metrics import classifier_cache as probe_cache
from vae_topk_jax.metrics import load_or_train_probe
from vae_topk_jax.runs.importance_log import IMPORTANCE, read_importance
from vae_topk_jax.runs.run_folder import LOCK, NAMES, read_names, sole_writer
from vae_topk_jax.runs.scalars import SCALARS, read_scalars

# Orbax gives up at the first part that it cannot read, while it is still reading others.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
FILES = sorted(
    path.relative_to(GOLDEN / "00000004") for path in GOLDEN.rglob("*") if path.is_file()
)


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def checkpoint(tmp_path):
    return shutil.copytree(GOLDEN / "00000004", tmp_path / "00000004")


@pytest.fixture
def peak():
    """Tells how much memory was taken at most."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def test_loading_what_is_right_unpickles_nothing(blobs, tmp_path):
    folder = write_folder(tmp_path / "digits", small_arrays())
    load_or_train_probe(blobs, cache_dir=tmp_path, epochs=1)
    found = []
    sys.addaudithook(lambda event, _: found.append(event) if event == "pickle.find_class" else None)
    load(GOLDEN)
    load_dataset(folder)
    load_or_train_probe(blobs, cache_dir=tmp_path, epochs=1)
    assert not found
    pickle.loads(pickle.dumps(tmp_path))
    assert found, "the hook does not hear"


@pytest.mark.parametrize("name", FILES, ids=str)
def test_a_pickle_in_a_checkpoint_is_refused_whatever_the_manifest_says(checkpoint, tmp_path, name):
    (checkpoint / name).write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    if name.name != manifest.NAME:
        manifest.write_manifest(checkpoint)
    with contextlib.suppress(CheckpointError):
        restore_checkpoint(checkpoint)
    gc.collect()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("read", [read_idx, load_dictionary_learning])
def test_a_pickle_is_no_data_and_no_weights(tmp_path, read):
    (tmp_path / "file").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(ValueError, match=r"file.*(expected|is not)"):
        read(tmp_path / "file")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "header",
    [
        b"\xff" * 8,
        struct.pack("<Q", 1 << 40) + b"{}",
        struct.pack("<Q", 1 << 20) + b"{}",
        {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]},
        {"dtype": "F32", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]},
    ],
)
def test_sizes_in_a_weights_file_are_compared_with_it_first(tmp_path, peak, header):
    if isinstance(header, dict):
        text = json.dumps({"W": header}).encode()
        header = struct.pack("<Q", len(text)) + text + bytes(4)
    (tmp_path / "sae.safetensors").write_bytes(header)
    with pytest.raises(ValueError, match="is not a safetensors file"):
        load_dictionary_learning(tmp_path / "sae.safetensors")
    assert peak() < 1 << 20


def test_a_gzip_that_unpacks_to_far_more_than_it_is_is_refused(tmp_path, peak, monkeypatch):
    monkeypatch.setattr(idx, "MAX_SMALL", 1 << 20)
    bomb = gzip.compress(idx_bytes(np.zeros((8, 1 << 10, 1 << 10), np.uint8)))
    (tmp_path / "bomb.gz").write_bytes(bomb)
    before = peak()
    with pytest.raises(DataError, match=r"bomb.gz: expected at most 1,048,576 bytes"):
        read_idx(tmp_path / "bomb.gz")
    assert peak() == before


def test_arrays_larger_than_the_files_of_a_checkpoint_are_not_made(checkpoint, peak):
    rewrite_about(checkpoint, lambda about: about["config"].update(widths=[100_000]))
    with pytest.raises(CheckpointError, match=r"bytes cannot hold the .* of its arrays"):
        restore_checkpoint(checkpoint)
    assert peak() < 64 << 20


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(path.parent / "mine")])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        (SCALARS, lambda folder: read_scalars(folder / SCALARS)),
        (IMPORTANCE, read_importance),
        (NAMES, read_names),
        (LOCK, lambda folder: sole_writer(folder).__enter__()),
    ],
)
def test_a_pipe_or_a_link_in_a_run_is_refused_and_what_it_leads_to_is_kept(
    tmp_path, make, name, read
):
    (tmp_path / "mine").write_text("mine")
    make(tmp_path / name)
    with pytest.raises(ValueError, match=f"{name} must be a regular file, got a"):
        read(tmp_path)
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("values", [[[1, 2], [3]], [["a"]], [None], [{}], [[[1]]], [[]]])
def test_importances_of_another_shape_are_refused(tmp_path, values):
    lines = [{"step": step, "importance": value} for step, value in enumerate(values)]
    (tmp_path / IMPORTANCE).write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(ValueError, match=f"{IMPORTANCE} must hold D numbers for each step"):
        read_importance(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda about: about.pop("config"), "config is missing"),
        (lambda about: about.update(config=3), "config must be an object, got 3"),
        (lambda about: about.update(image_shape=[-1, 8, 1]), "image_shape"),
        (lambda about: about.update(data={}), "data.train is missing"),
        (lambda about: about["data"].update(train=2**40), "data.train must be an integer"),
        (lambda about: about["config"].update(widths="512"), "widths must be"),
        (lambda about: about["config"].update(k=0), "k must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_named_with_its_file(checkpoint, change, message):
    rewrite_about(checkpoint, change)
    with pytest.raises(CheckpointError, match=f"about.json: .*{message}"):
        read_info(checkpoint)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b'{"a": ' * 99 + b"1" + b"}" * 99,
        b" " * (4 << 20) + b"{}",
        b"[]",
        b"\0",
        b"",
        b"\xff",
        b'{"a": NaN}',
    ],
    ids=range(8),
)
def test_text_that_is_no_description_is_refused(checkpoint, text):
    (checkpoint / "about.json").write_bytes(text)
    with pytest.raises(
        CheckpointError, match=r"about.json (holds no JSON object|must have at most)"
    ):
        read_info(checkpoint)


def test_a_cached_probe_of_other_shapes_is_trained_again(blobs, tmp_path, caplog):
    probe = load_or_train_probe(blobs, cache_dir=tmp_path, epochs=1)
    (path,) = (tmp_path / "probe").iterdir()
    with safetensors.safe_open(path, "numpy") as file:
        config = json.loads(file.metadata()["about"])
    config.pop("test_accuracy")
    cut = dataclasses.replace(probe, params=jax.tree.map(lambda x: x[:1], probe.params))
    probe_cache._save(path, config, cut)
    again = load_or_train_probe(blobs, cache_dir=tmp_path, epochs=1)
    assert jax.tree.map(np.shape, again.params) == jax.tree.map(np.shape, probe.params)
    assert "its tensors are not those of a probe" in caplog.text


@pytest.mark.parametrize("read", [load_dictionary_learning, load_saelens])
def test_a_pipe_is_no_weights_of_another_library(tmp_path, read):
    path = tmp_path / "cfg.json" if read is load_saelens else tmp_path / "sae.safetensors"
    os.mkfifo(path)
    with pytest.raises(ValueError, match=f"{path.name} must be a regular file"):
        read(tmp_path if read is load_saelens else path)
