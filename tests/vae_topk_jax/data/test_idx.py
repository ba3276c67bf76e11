"""IDX files: what is written can be read, and what is damaged is refused in one line."""

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.idx_files import flip, idx_bytes, pass_for_mnist, small_arrays, write_folder
from vae_topk_jax.data import DataError
from vae_topk_jax.data.idx import load_idx_folder, read_idx, write_idx

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


def refusal(action, *args) -> str:
    with pytest.raises(DataError) as caught:
        action(*args)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("shape", [(1,), (300,), (3, 4, 5), (2, 28, 28), (2, 3, 4, 3)])
def test_round_trip(tmp_path: Path, shape: tuple[int, ...], suffix: str):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path = tmp_path / f"file{suffix}"
    write_idx(path, array)
    np.testing.assert_array_equal(read_idx(path), array)
    assert (gzip.decompress if suffix else bytes)(path.read_bytes()) == idx_bytes(array)


def test_gzip_is_known_by_content(tmp_path: Path):
    (tmp_path / "plain-name").write_bytes(gzip.compress(idx_bytes(IMAGES)))
    np.testing.assert_array_equal(read_idx(tmp_path / "plain-name"), IMAGES)


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["raw", "gzip"])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "found an empty file"),
        (b"\0\0\x08", "00 00 08, then 01 to 04"),
        (b"\1" + idx_bytes(IMAGES)[1:], "found 01 00 08 03"),
        (b"\0\0\x0d\3" + idx_bytes(IMAGES)[4:], "found 00 00 0d 03"),
        (b"\0\0\x08\0" + idx_bytes(IMAGES)[4:], "found 00 00 08 00"),
        (b"\0\0\x08\xff" + idx_bytes(IMAGES)[4:], "found 00 00 08 ff"),
        (b"\0\0\x08\2" + idx_bytes(IMAGES)[4:], r"shape \(3, 4\), found more"),
        (idx_bytes(IMAGES)[:15], "header of 16 bytes, found 15"),
        (idx_bytes(IMAGES)[:-1], r"expected 76 bytes for shape \(3, 4, 5\), found 75"),
        (idx_bytes(IMAGES) + b"\0", "expected 76 bytes .* found more"),
        (idx_bytes(IMAGES[:0]), "empty shape"),
    ],
)
def test_wrong_content_is_refused(tmp_path: Path, content: bytes, expected: str, compress):
    path = tmp_path / "some-file"
    path.write_bytes(compress(content))
    with pytest.raises(DataError, match=f"some-file: .*{expected}"):
        read_idx(path)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[:-9], id="truncated"),
        pytest.param(lambda content: content[:5], id="only the gzip header"),
        pytest.param(lambda content: content + b"rubbish", id="rubbish at the end"),
        pytest.param(lambda content: content[:-5] + b"\xff" + content[-4:], id="checksum"),
        pytest.param(lambda content: content[:10] + b"\xff" * 9 + content[19:], id="stream"),
    ],
)
def test_damaged_gzip_is_refused(tmp_path: Path, damage):
    path = tmp_path / "some-file.gz"
    path.write_bytes(damage(gzip.compress(idx_bytes(IMAGES), mtime=0)))
    assert "some-file.gz: expected a complete gzip file" in refusal(read_idx, path)


@pytest.mark.parametrize(
    ("header", "num_bytes", "compress"),
    [
        pytest.param("00000803 80000000 0000001c 0000001c", 100, bytes, id="large claim"),
        pytest.param("00000803 80000000 0000001c 0000001c", 100, gzip.compress, id="same, gzip"),
        pytest.param("00000803 80000000 0000001c 0000001c", 32 << 20, bytes, id="large both"),
        pytest.param("00000801 0000000c", 32 << 20, bytes, id="large file"),
        pytest.param("00000801 0000000c", 32 << 20, gzip.compress, id="same, gzip"),
    ],
)
def test_refusal_takes_no_memory(tmp_path: Path, header: str, num_bytes: int, compress):
    path = tmp_path / "huge"
    path.write_bytes(compress(bytes.fromhex(header) + bytes(num_bytes)))
    tracemalloc.start()
    try:
        refusal(read_idx, path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["absent", "."])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str):
    assert "cannot be read" in refusal(read_idx, tmp_path / name)


@pytest.mark.parametrize("array", [np.zeros(3, np.int32), np.uint8(0), np.zeros((0, 2), np.uint8)])
def test_what_idx_cannot_hold_is_not_written(tmp_path: Path, array: np.ndarray):
    assert "an IDX file takes uint8" in refusal(write_idx, tmp_path / "file", array)
    assert not list(tmp_path.iterdir())


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch):
    write_idx(tmp_path / "file", IMAGES)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_idx(tmp_path / "file", IMAGES[:1])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    np.testing.assert_array_equal(read_idx(tmp_path / "file"), IMAGES)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("size", [(6, 5), (28, 28), (1, 1)])
def test_folder_becomes_a_dataset(tmp_path: Path, size: tuple[int, int], dotted: bool, suffix: str):
    arrays = small_arrays(*size)
    spelling = {stem.replace("-idx", ".idx") if dotted else stem: a for stem, a in arrays.items()}
    data = load_idx_folder(write_folder(tmp_path / "my-digits", spelling, suffix))
    assert (data.name, data.source) == ("my-digits", 'IDX folder "my-digits"')
    assert data.image_shape == (*size, 1)
    np.testing.assert_array_equal(data.train_images[..., 0], arrays[TRAIN_IMAGES])
    np.testing.assert_array_equal(data.train_labels, arrays[TRAIN_LABELS])
    np.testing.assert_array_equal(data.test_images[..., 0], arrays[TEST_IMAGES])
    np.testing.assert_array_equal(data.test_labels, arrays[TEST_LABELS])


def test_missing_files_are_named(tmp_path: Path):
    folder = write_folder(tmp_path / "part", small_arrays())
    for stem in (TRAIN_LABELS, TEST_IMAGES):
        (folder / stem).unlink()
    assert f"part: no {TRAIN_LABELS}, {TEST_IMAGES} (raw or .gz)" in refusal(
        load_idx_folder, folder
    )


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (TRAIN_IMAGES, TRAIN_LABELS, f"{TRAIN_IMAGES}{{}}: expected images in 3 dim"),
        (TEST_IMAGES, TEST_LABELS, f"{TEST_IMAGES}{{}}: expected images in 3 dim"),
        (TRAIN_LABELS, TEST_LABELS, f"{TRAIN_LABELS}{{}}: 7 labels for the 12 images"),
        (TRAIN_IMAGES, TEST_IMAGES, f"{TRAIN_LABELS}{{}}: 12 labels for the 7 images"),
    ],
)
def test_swapped_files_are_named(tmp_path: Path, one: str, other: str, expected: str, suffix: str):
    arrays = small_arrays()
    swapped = arrays | {one: arrays[other], other: arrays[one]}
    folder = write_folder(tmp_path / "swapped", swapped, suffix)
    assert expected.format(suffix) in refusal(load_idx_folder, folder)


def test_splits_of_two_image_sizes_are_refused(tmp_path: Path):
    arrays = small_arrays() | {TEST_IMAGES: small_arrays(5, 6)[TEST_IMAGES]}
    assert "must agree" in refusal(load_idx_folder, write_folder(tmp_path / "mixed", arrays))


def test_one_flipped_bit_in_gzip_never_gives_other_arrays(tmp_path: Path):
    folder = write_folder(tmp_path / "digits", small_arrays(), ".gz")
    digest = load_idx_folder(folder).digest
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(50):
        path = folder / f"{rng.choice([TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS])}.gz"
        position, mask = int(rng.integers(path.stat().st_size)), 1 << int(rng.integers(8))
        flip(path, position, mask)
        try:
            assert load_idx_folder(folder).digest == digest
        except DataError:
            refused += 1
        flip(path, position, mask)
    assert refused > 40  # the rest hit unused parts of the gzip header


class TestMnistByHash:
    """The known hashes decide where they can; a raw file of an unknown set has no checksum."""

    ARRAYS = small_arrays(seed=1)

    @pytest.fixture(autouse=True)
    def _known(self, monkeypatch):
        pass_for_mnist(monkeypatch, self.ARRAYS)

    @pytest.mark.parametrize("suffix", ["", ".gz"])
    def test_original_is_recognised(self, tmp_path: Path, suffix: str):
        data = load_idx_folder(write_folder(tmp_path / "digits", self.ARRAYS, suffix))
        assert data.name == "mnist"
        assert data.source == 'IDX folder "digits" (original MNIST, SHA-256 verified)'

    @pytest.mark.parametrize("stem", ARRAYS)
    def test_one_damaged_raw_file_beside_three_originals_is_refused(self, tmp_path, stem: str):
        folder = write_folder(tmp_path / "digits", self.ARRAYS)
        flip(folder / stem, -1)
        assert f"{stem}: not MNIST's" in refusal(load_idx_folder, folder)

    @pytest.mark.parametrize(
        ("changed", "suffix"),
        [
            pytest.param([TRAIN_IMAGES], ".gz", id="one file, cleared by its own checksum"),
            pytest.param([TRAIN_IMAGES, TEST_IMAGES], "", id="other images, MNIST's labels"),
            pytest.param(list(ARRAYS), "", id="another set of MNIST's sizes"),
        ],
    )
    def test_another_set_is_not_called_mnist(self, tmp_path: Path, changed: list[str], suffix: str):
        arrays = self.ARRAYS | {stem: self.ARRAYS[stem] // 2 for stem in changed}
        data = load_idx_folder(write_folder(tmp_path / "like-mnist", arrays, suffix))
        assert (data.name, data.source) == ("like-mnist", 'IDX folder "like-mnist"')

    def test_whole_splits_swapped_are_refused(self, tmp_path: Path):
        stems = [TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS]
        swapped = dict(zip(stems, self.ARRAYS.values(), strict=True))
        message = refusal(load_idx_folder, write_folder(tmp_path / "swapped", swapped))
        assert f"expected {TRAIN_IMAGES}, found MNIST's {TEST_IMAGES}" in message


def test_the_real_mnist():
    folder = Path(__file__).parents[4] / "shared" / "data" / "mnist"
    if not folder.is_dir():
        pytest.skip("no copy of MNIST beside the repository")
    data = load_idx_folder(folder)
    assert data.name == "mnist"
    assert data.train_images.shape == (60_000, 28, 28, 1)
    assert np.bincount(data.test_labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
