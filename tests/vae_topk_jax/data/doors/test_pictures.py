"""Folders of pictures of every kind, and the cache of what was decoded."""

import warnings

import numpy as np
import pytest
from PIL import Image

from tests.helpers.doors import png
from tests.helpers.odd_files import COLOUR, GOOD, GREY, all_images, encoded, files
from vae_topk_jax.data import DataError, DataOptions, decoding, load_dataset
from vae_topk_jax.files import CACHE_VARIABLE


def rotated() -> bytes:
    """A JPEG whose EXIF tag says that it is to be turned by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(Image.fromarray(COLOUR), "jpeg", quality=100, subsampling=0, exif=exif)


PALETTE = Image.fromarray(COLOUR).quantize(256)
SEE_THROUGH = np.dstack([COLOUR, np.zeros((6, 5), np.uint8)])
PICTURES: dict[str, tuple[bytes, str, np.ndarray, int]] = {
    # content, suffix, what it shows, by how much a lossy format may be off
    "16 bits of grey": (
        encoded(Image.fromarray(GREY[0].astype(np.uint16) * 257), "png"),
        ".png",
        GREY[0][..., None],
        0,
    ),
    "one bit": (
        encoded(Image.fromarray(GREY[0] > 127), "png"),
        ".png",
        (255 * (GREY[0] > 127))[..., None].astype(np.uint8),
        0,
    ),
    "a palette": (encoded(PALETTE, "png"), ".png", np.asarray(PALETTE.convert("RGB")), 0),
    "transparent": (
        encoded(Image.fromarray(SEE_THROUGH), "png"),
        ".png",
        np.full_like(COLOUR, 255),
        0,
    ),
    "CMYK": (
        encoded(Image.new("CMYK", (5, 6), (0, 0, 0, 255)), "jpeg", quality=100),
        ".jpg",
        np.zeros((6, 5, 3), np.uint8),
        3,
    ),
    "turned by EXIF": (rotated(), ".jpg", np.rot90(COLOUR, -1), 40),
    "WebP": (encoded(Image.fromarray(COLOUR), "webp", lossless=True), ".webp", COLOUR, 0),
    "one frame of a GIF": (encoded(Image.fromarray(GREY[0]), "gif"), ".gif", GREY[0][..., None], 0),
    "an upper-case suffix": (GOOD, ".PNG", GREY[0][..., None], 0),
}


@pytest.mark.parametrize("what", PICTURES)
def test_pictures_of_any_kind_are_read(tmp_path, what):
    content, suffix, expected, off = PICTURES[what]
    folder = files(suffix, a=content, b=content)(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = all_images(folder)
    colours = expected if images.shape[-1] == expected.shape[-1] else expected.repeat(3, -1)
    assert images.shape == (2, *colours.shape)
    assert np.abs(images[0].astype(int) - colours).max() <= off


def test_broken_pictures_are_counted_when_asked_to(tmp_path):
    folder = files(".png", a=GOOD, b=GOOD[:60], c=GOOD, d=b"")(tmp_path)
    for _ in range(2):  # decoded, and from the cache
        said: list[str] = []
        data = load_dataset(folder, DataOptions(skip_broken=True), log=said.append)
        assert data.describe()["train"] + data.describe()["test"] == 2
        assert any(
            "left out 2 broken pictures, the first: " in line and "b.png" in line for line in said
        )


def test_pictures_are_resized_cropped_and_made_grey(tmp_path):
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, 4:12] = 200
    folder = files(".png", a=png(wide), b=png(GREY[0]))(tmp_path)
    images = all_images(folder, image_size=4, colour="grey")
    assert images.shape == (2, 4, 4, 1)
    assert np.abs(images[0].astype(int) - 200).max() <= 10  # not the black at both ends


def test_the_second_time_nothing_is_decoded(tmp_path, monkeypatch):
    folder = files(".png", a=GOOD, b=GOOD)(tmp_path)
    first = all_images(folder)
    monkeypatch.setattr(decoding, "read_picture", lambda *_: pytest.fail("decoded again"))
    np.testing.assert_array_equal(all_images(folder), first)
    (folder / "a.png").write_bytes(png(GREY[1]))
    with pytest.raises(pytest.fail.Exception):
        all_images(folder)


def test_a_damaged_cache_is_made_again(tmp_path, cache):
    folder = files(".png", a=GOOD, b=GOOD)(tmp_path)
    first = all_images(folder)
    (kept,) = cache.glob("decoded/*/images")
    kept.write_bytes(kept.read_bytes()[:-1])
    np.testing.assert_array_equal(all_images(folder), first)


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    folder = files(".png", a=GOOD, b=GOOD)(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(
        DataError, match=r"odd: the cache .*file cannot be written .*VAE_TOPK_CACHE"
    ):
        load_dataset(folder)


def test_folders_train_and_test_are_the_splits(tmp_path):
    folder = files(
        ".png", train__a__1=GOOD, train__b__1=png(GREY[1]), test__b__1=GOOD, test__a__1=GOOD
    )(tmp_path)
    data = load_dataset(folder)
    assert data.describe()["train"] == data.describe()["test"] == 2
    assert data.train_labels.tolist() == [0, 1]
    np.testing.assert_array_equal(data.train_images[1, ..., 0], GREY[1])


def test_files_that_are_no_pictures_are_said_to_be_left_out(tmp_path):
    folder = files(**{"a.png": GOOD, "b.png": GOOD, "notes.txt": b"", "Thumbs.db": b"", ".x": b""})
    said: list[str] = []
    load_dataset(folder(tmp_path), log=said.append)
    assert any("left out 1 files that are no pictures: notes.txt" in line for line in said)


def test_a_folder_in_which_all_are_broken_is_named(tmp_path):
    folder = files(".png", a=b"", b=GOOD[:20])(tmp_path)
    with pytest.raises(DataError, match=r"odd: expected pictures, found none that can be read"):
        load_dataset(folder, DataOptions(skip_broken=True))


def test_two_colours_in_two_splits_are_one_where_asked_for(tmp_path):
    made = files(".png", train__1=GOOD, train__2=GOOD, test__1=png(COLOUR))
    folder = made(tmp_path)
    with pytest.raises(DataError, match=r"train images are .* test images .*: they must agree"):
        load_dataset(folder)
    assert load_dataset(folder, DataOptions(colour="rgb")).image_shape == (6, 5, 3)
