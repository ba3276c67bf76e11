"""Files as people have them, damaged or odd: a right array, or one line that names the file."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from tests.helpers.doors import norb_matrix, png
from tests.helpers.odd_files import (
    GOOD,
    GREY,
    Make,
    all_images,
    animated,
    archive,
    bomb,
    encoded,
    files,
    header,
    line_break_in_a_name,
    link_to_nowhere,
    norb,
    pipe,
    raw,
    saved,
    saved_split,
    shards,
    tensor_file,
    text,
    undecodable_name,
)
from vae_topk_jax.data import DataError, load_dataset

NAN = np.full((20, 3), 0.5, np.float32)
NAN[13, 1] = np.nan

REFUSED: dict[str, tuple[Make, str]] = {
    "integers of 64 bits": (saved(GREY.astype(np.int64)), r"odd.npy: expected uint8 or floating"),
    "complex numbers": (saved(GREY.astype(complex)), r"odd.npy: expected uint8 or .*complex128"),
    "booleans": (saved(GREY > 9), r"odd.npy: expected uint8 or floating values, found bool"),
    "Python objects": (saved(np.array([{}, 1], object)), r"odd.npy: .*Python objects.*unpickled"),
    "text": (saved(np.array(["a", "b"])), r"odd.npy: expected uint8 or floating values, found <U1"),
    "a structure": (saved(np.zeros(3, [("a", "f4")])), r"odd.npy: expected uint8 or floating"),
    "a number": (saved(np.float32(1)), r"odd.npy: expected images .* found shape \(\)"),
    "one axis": (saved(np.zeros(9)), r"odd.npy: expected images .* found shape \(9,\)"),
    "five axes": (saved(np.zeros((2, 2, 2, 2, 2))), r"odd.npy: expected images .* found shape"),
    "no examples": (saved(GREY[:0]), r"odd.npy: "),
    "NaN": (saved(NAN), r"odd.npy: expected finite values of float32, found others in example 13"),
    "infinity": (saved(NAN * np.inf), r"odd.npy: expected finite values"),
    "more than float32 holds": (saved(np.full((20, 3), 1e300)), r"odd.npy: expected finite"),
    "one example": (saved(GREY[:1]), r'"odd.npy": cannot hold out 1 of 1 examples for the test'),
    "not NumPy": (raw(b"PK\x03\x04 and more"), r"odd.npy: expected a .npy file, found 50 4b"),
    "a header of nonsense": (raw(header("{'descr': __import__('os')}")), r"odd.npy: "),
    "a header of a huge shape": (
        raw(header("{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999, 9), }")),
        r"odd.npy: ",
    ),
    "a header of a negative shape": (
        raw(header("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 9), }")),
        r"odd.npy: ",
    ),
    "a pipe": (pipe, r"odd.npy must be a regular file"),
    "ragged shards": (
        shards(a0=GREY, a1=GREY[:, :3]),
        r"a1.npy: expected uint8 \(6, 5\) an example as in .*a0.npy, found uint8 \(3, 5\)",
    ),
    "shards of two types": (
        shards(a0=GREY, a1=GREY.astype(np.float32)),
        r"a1.npy: expected uint8 .* found float32",
    ),
    "labels without images": (shards(labels=np.arange(3)), r"odd: expected images and labels"),
    "a test split alone": (shards(test_images=GREY), r"odd: expected images and labels"),
    "a stray array": (shards(images=GREY, more=GREY), r"more.npy: expected a name such as images"),
    "a name that is not UTF-8": (undecodable_name, r"odd holds a name that cannot be printed"),
    "a name of two lines": (line_break_in_a_name, r"odd holds a name that cannot be printed"),
    "a link to nowhere": (link_to_nowhere, r"odd: cannot be read|a.npy: cannot be read"),
    "labels that are floating": (
        archive(images=GREY, labels=np.zeros(20)),
        r"odd.npz: labels: expected integers, found float64",
    ),
    "too few labels": (
        archive(images=GREY, labels=np.arange(19)),
        r"odd.npz: labels: expected 20 labels, one an image, found \(19,\)",
    ),
    "negative labels": (
        archive(images=GREY, labels=np.full(20, -1)),
        r"odd.npz: labels: expected labels in \[0, 2\^31\), found -1",
    ),
    "an archive of objects": (
        archive(images=np.array([{}], object)),
        r"odd.npz: images: .*Python objects",
    ),
    "names that say nothing": (archive(a=GREY, b=GREY), r"odd.npz: expected images .* found a, b"),
    "a zip bomb": (bomb, r"odd.npz: images: expected .* bytes for shape"),
    "no archive": (raw(b"not a zip file", "odd.npz"), r"odd.npz: cannot be read"),
    "mixed sizes": (
        files(".png", a=GOOD, b=png(GREY[0, :4])),
        r"b.png: expected 6 x 5 pixels as in .*a.png, found 4 x 5: image_size \(--image-size 64\)",
    ),
    "an animated GIF": (
        files(".gif", a=animated()),
        r"a.gif: expected one picture, found 3 frames",
    ),
    "a truncated PNG": (files(".png", a=GOOD, b=GOOD[:60]), r"b.png: cannot be read as a picture"),
    "text for a picture": (files(".jpg", a=b"hello"), r"a.jpg: cannot be read as a picture"),
    "a floating TIFF": (
        files(".tif", a=encoded(Image.fromarray(np.zeros((6, 5), np.float32)), "tiff")),
        r"a.tif: cannot be read as a picture \(floating values",
    ),
    "pictures beside classes": (files(".png", a=GOOD, c__b=GOOD), r"odd: expected pictures or a f"),
    "an empty class": (
        files(a__a=b"", b__b=b"") and files(a__x=b"text", **{"b__x.png": GOOD}),
        r"a: expected pictures, found none",
    ),
    "a class of the test split alone": (
        files(".png", train__a__1=GOOD, test__a__1=GOOD, test__b__1=GOOD),
        r"test: expected the classes of train, found b/ in one alone",
    ),
    "several tensors": (
        tensor_file(a=NAN[:9], b=NAN[:9]),
        r"odd.safetensors: tensor \(--tensor\) must name one of a, b",
    ),
    "a tensor of integers": (
        tensor_file(a=np.zeros((9, 3), np.int64)),
        r"odd.safetensors: a must be F64, .* found I64 \(9, 3\)",
    ),
    "a tensor of one axis": (
        tensor_file(a=np.zeros(9)),
        r"odd.safetensors: a must be .* F64 \(9,\)",
    ),
    "a tensor with NaN": (tensor_file(a=NAN), r"odd.safetensors: a: expected finite"),
    "no safetensors": (raw(b"\xff" * 30, "odd.safetensors"), r"odd.safetensors: cannot be read"),
    "a column of text": (text("a,name\n1,x\n2,y\n"), r"odd.csv: expected numeric .* name \(string"),
    "a missing number": (text("a,b\n1,2\n3,\n"), r"odd.csv: column b has no value in row 1"),
    "a number that is none": (
        text("a,b\n1,2\n3,nan\n"),
        r"odd.csv: column b has no value in row 1",
    ),
    "a row of another length": (text("a,b\n1,2\n3\n"), r"odd.csv: cannot be read"),
    "a table of nothing": (text("a,b\n"), r"odd.csv: expected numeric columns, found a \(null\)"),
    "no Parquet": (raw(b"PAR1 nothing", "odd.parquet"), r"odd.parquet: cannot be read"),
    "a saved set that points elsewhere": (
        saved_split({"_data_files": [{"filename": "../../etc/passwd"}]}),
        r"state.json: expected names of Arrow files",
    ),
    "a saved set of chosen rows": (
        saved_split({"_data_files": [], "_indices_data_files": [{"filename": "i.arrow"}]}),
        r"odd: expected rows in order",
    ),
    "a saved set without its file": (
        saved_split({"_data_files": [{"filename": "data.arrow"}]}),
        r"data.arrow: cannot be read",
    ),
    "NORB of floating values": (
        norb(dat=b"\x51\x4c\x3d\x1e" + 20 * b"\0"),
        r"training-dat.mat: expected a matrix of 4 axes of bytes or integers, found 51 4c 3d 1e",
    ),
    "NORB with an unknown category": (
        norb(cat=norb_matrix(np.full(4, 7, np.int32))),
        r"training-info.mat: expected numbers below",
    ),
    "dSprites without factors": (
        lambda folder: archive(imgs=GREY)(folder).rename(folder / "dsprites-odd.npz"),
        r"dsprites-odd.npz: expected dSprites, found no array latents_classes",
    ),
    "MPI3D of another number": (
        lambda folder: archive(images=GREY)(folder).rename(folder / "mpi3d-odd.npz"),
        r"mpi3d-odd.npz: expected the 1,036,800 or 460,800 images of MPI3D, found 20",
    ),
    "a checkpoint of PyTorch": (raw(b"PK\x03\x04", "odd.pt"), r"odd.pt: expected one of dSprites"),
    "an empty folder": (files(x__y=b""), r"odd: expected one of dSprites .* a folder of pictures"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_used_is_named_in_one_line(tmp_path, what):
    make, message = REFUSED[what]
    if "parquet" in message or "csv" in message or "arrow" in message:
        pytest.importorskip("pyarrow")
    path = make(tmp_path)
    with pytest.raises(DataError, match=message) as refused:
        load_dataset(path)
    assert "\n" not in str(refused.value)


READ: dict[str, tuple[Make, np.ndarray]] = {
    "Fortran order": (saved(np.asfortranarray(GREY)), GREY[..., None]),
    "big-endian": (
        saved(GREY.astype(">f4")),
        GREY[..., None].astype(np.float32),
    ),
    "halves": (saved(GREY.astype(np.float16)), GREY[..., None].astype(np.float32)),
    "doubles in Fortran order": (
        saved(np.asfortranarray(GREY / 255)),
        (GREY / 255).astype(np.float32)[..., None],
    ),
    "vectors": (saved(GREY[:, 0] / 2), (GREY[:, 0] / 2).astype(np.float32)[:, None, None]),
    "an archive that holds one array": (archive(arr_0=GREY), GREY[..., None]),
    "an archive in Fortran order": (archive(images=np.asfortranarray(GREY)), GREY[..., None]),
    "ten shards in the order of their numbers": (
        shards(**{f"part-{number}": GREY[2 * number : 2 * number + 2] for number in range(10)}),
        GREY[..., None],
    ),
    "bfloat16 activations": (
        tensor_file(a=(GREY[:, 0]).astype(jnp.bfloat16)),
        GREY[:, 0].astype(jnp.bfloat16).astype(np.float32)[:, None, None],
    ),
    "activations of tokens": (
        tensor_file(a=GREY.astype(np.float32)),
        GREY.astype(np.float32).reshape(-1, 1, 1, 5),
    ),
}


@pytest.mark.parametrize("what", READ)
def test_what_is_odd_but_clear_is_read(tmp_path, what):
    make, expected = READ[what]
    images = all_images(make(tmp_path))
    assert images.dtype == expected.dtype
    np.testing.assert_array_equal(images, expected)
