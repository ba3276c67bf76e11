"""Sets of tensorflow-datasets, with and without TensorFlow."""

import importlib.util
import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vae_topk_jax.data import DataError, load_dataset
from vae_topk_jax.data.tfds import load_tfds


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
    def test_loader_is_chosen(self, monkeypatch, splits, random_access, has_tensorflow, expected):
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
