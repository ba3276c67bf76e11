"""What the explorer shows is what the model gives."""

import base64
import dataclasses
import html
import re
import socket
import struct
import zlib
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from experiments.explore import __main__ as explore
from experiments.explore.drawing import as_digit, decode_drawing
from experiments.explore.inspection import Inspector, checked_entry
from experiments.explore.markup import Card, cards
from experiments.explore.state import State
from experiments.explore.view import View
from experiments.measures.robustness import noisy
from experiments.study.shown_inputs import ShownInputs, find_inputs
from experiments.terminal import cli
from tests.helpers.galleries import dictionary
from tests.helpers.runs import untrained
from vae_topk_jax import load
from vae_topk_jax.data import load_dataset, to_unit_float
from vae_topk_jax.inference import Inference
from vae_topk_jax.rule import SelectionRule
from vae_topk_jax.runs.importance_log import read_importance

TAG = '<img src="http://127.0.0.1:9/pixel.png">'


@pytest.mark.parametrize("selection", get_args(SelectionRule))
def test_the_mask_shown_is_the_models(blobs, selection):
    model = untrained(blobs, selection=selection)
    inspector = Inspector(model)
    for x in to_unit_float(blobs.test_images[:5]):
        choice, code_D = inspector.choice(x), model.encode(x[None])[0]
        np.testing.assert_array_equal(choice.active_D, code_D != 0)
        if choice.level is None:
            assert choice.rank_D.sum() == pytest.approx(model.config.k)
        else:
            np.testing.assert_array_equal(choice.rank_D >= choice.level, choice.active_D)
        np.testing.assert_array_equal(inspector.code(x), code_D)


def test_a_drag_changes_one_entry_and_decodes_it(view, images):
    z_D = view.model.code(images[0])
    shown, link, state = view.edit(z_D, State(0), 5, 2.5)
    edited_D = state.applied(z_D)
    assert edited_D[5] == 2.5
    np.testing.assert_array_equal(np.delete(edited_D, 5), np.delete(z_D, 5))
    decoded = view.model.model.decode(edited_D[None])[0]
    np.testing.assert_array_equal(view.model.image(edited_D), decoded)
    assert shown != view.edit(z_D, State(0), 5, -2.5)[0]
    assert view.show(images[0], state).edited == shown
    assert "?index=0&amp;set=5:2.5" in link


def test_a_clamp_holds_for_other_inputs_and_an_ablated_latent_is_zero(view, images):
    first, *_ = np.flatnonzero(view.model.code(images[1]))
    _, _, state = view.edit(view.model.code(images[0]), State(0), int(first), 0.0)
    shown = view.show(images[1], state)
    assert state.applied(shown.z_D)[first] == 0
    assert shown.z_D[first] != 0
    assert f'value="0" data-dim="{first}"' in shown.cards


def test_the_cards_are_the_active_latents_the_strongest_first(view, images):
    z_D = view.model.code(images[3])
    shown = view.cards(z_D, State(3)).partition("<details>")[0]
    order = [int(d) for d in re.findall('data-dim="([0-9]+)"', shown)]
    assert order == [d for d in np.argsort(-np.abs(z_D), kind="stable").tolist() if z_D[d]]


def test_the_details_of_a_latent_are_its_strongest_inputs_of_both_signs(view, images):
    codes_NxD = np.asarray(view.model.model.encode(images))
    latent = int(np.argmax((codes_NxD != 0).sum(axis=0)))
    shown, link, state = view.open(codes_NxD[0], State(0), latent)
    assert state.latent == latent
    assert f"latent={latent}" in link
    found = [int(i) for i in re.findall('data-index="([0-9]+)"', shown)]
    column = codes_NxD[:, latent]
    above, below = np.count_nonzero(column > 0), np.count_nonzero(column < 0)
    ranked = np.argsort(column, kind="stable")
    assert set(found) == {*ranked[::-1][: min(8, above)], *ranked[: min(8, below)]}


def test_a_link_restores_the_state():
    state = State(7, 0.25, 3, {5: -1.5, 2: 0.0}, 4)
    query = dict(part.split("=") for part in state.query[1:].split("&"))
    assert State.parse(query, 10, 8) == state
    assert State.parse({}, 10, 8, first=2) == State(2)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"index": "10"}, r"index must be an integer in \[0, 10\), got '10'"),
        ({"index": "-1"}, "index must be an integer"),
        ({"seed": "9" * 5000}, "seed must be an integer"),
        ({"sigma": "nan"}, "sigma must be a number of at most 1, got 'nan'"),
        ({"set": "1"}, "value must be a number"),
        ({"set": "8:1"}, r"latent must be an integer in \[0, 8\), got '8'"),
        ({"latent": TAG}, "latent must be an integer"),
    ],
)
def test_an_address_that_nobody_was_given_is_refused(query, message):
    with pytest.raises(ValueError, match=message):
        State.parse(query, 10, 8)


@pytest.mark.parametrize(
    ("dimension", "value", "message"),
    [
        (3, 0.0, r"dimension must be an integer in \[0, 3\), got 3"),
        ("1", 0.0, r"dimension must be an integer in \[0, 3\), got '1'"),
        (0, np.nan, "value must be a finite number, got nan"),
        (0, 1e300, r"value must be a finite number, got 1e\+300"),
        (0, None, "value must be a finite number, got None"),
    ],
)
def test_a_drag_that_cannot_be_is_refused(dimension, value, message):
    with pytest.raises(ValueError, match=message):
        checked_entry(3, dimension, value)


def test_noise_is_a_function_of_sigma_and_seed(view, images):
    x = images[0]
    noise = ((0.5, 0), (0.5, 0), (0.5, 1), (0.0, 1))
    codes = [view.show(x, State(0, *given)).z_D for given in noise]
    np.testing.assert_array_equal(codes[0], codes[1])
    np.testing.assert_array_equal(codes[0], view.model.code(noisy(x[None], 0.5, 0, True)[0]))
    assert not np.array_equal(codes[0], codes[2])
    np.testing.assert_array_equal(codes[3], view.model.code(x))


@pytest.mark.parametrize("index", [-1, 1000, None, "1", 1.5])
def test_an_image_that_is_not_there_is_refused(view, index):
    with pytest.raises(ValueError, match=r"index must be an integer in \[0, 1000\), got"):
        view.pictures.checked_index(index)


def test_strings_from_files_are_text(view, digits):
    info = dataclasses.replace(
        view.model.model.info, data={"source": TAG, "train": 4000, "test": 1}
    )
    summary = View(Inspector(Inference(view.model.model.state, info)), digits).summary
    assert html.escape(TAG) in summary
    assert TAG not in summary


def test_a_dense_model_stands_beside_it(digits, view, images):
    assert view.show(images[0], State(0)).tiles.count("<figure>") == 2
    tiles = View(view.model, digits, view.model).show(images[0], State(0, 0.3)).tiles
    psnrs = re.findall(r"PSNR ([\d.]+) dB", tiles)
    assert len(psnrs) == 3
    assert psnrs[1] == psnrs[2]
    of_any_values = Inspector(dictionary(images[:8], 4))
    assert "PSNR" in View(of_any_values, digits, view.model).show(images[0], State(0, 1.0)).tiles


def test_inputs_of_another_shape_are_refused(view, blobs):
    with pytest.raises(ValueError, match=re.escape("(12, 12, 1), got one of (28, 28, 1)")):
        View(view.model, ShownInputs.of(blobs, "test"))


def test_sliders_reach_as_far_as_the_codes(view):
    beyond = cards([Card(1, 99.0, 1.0, "", True)])
    assert 'max="99"' in beyond
    for latent in range(8):
        assert view._limit(latent) >= np.abs(view.activity.highest_D[latent])
        assert view._limit(latent) >= np.abs(view.activity.lowest_D[latent])


def test_a_dictionary_of_an_array_of_ones_own_in_colour_is_explored(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "mine.npy"
    np.save(path, rng.integers(0, 256, (40, 8, 8, 3), np.uint8))
    inputs = ShownInputs.of(load_dataset(path), "train")
    model = dictionary(to_unit_float(inputs.images), 300)
    view = View(Inspector(model), inputs)
    x = view.pictures.input(2)
    shown = view.show(x, State(2))
    assert not view.pictures.can_be_drawn
    assert shown.choice.count("<rect") == 128
    choice = view.model.choice(x)
    np.testing.assert_array_equal(choice.rank_D >= choice.level, choice.active_D)
    active = np.count_nonzero(shown.z_D)
    assert active > 0
    assert shown.cards.partition("<details>")[0].count("data-dim") == min(active, 48)
    assert "error" in view.show(x, State(2)).tiles or "PSNR" in shown.tiles


@pytest.mark.long
def test_vectors_are_explored_as_squares(tmp_path):
    path = tmp_path / "vectors.npy"
    np.save(path, np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32))
    inputs = ShownInputs.of(load_dataset(path), "train")
    view = View(Inspector(dictionary(inputs.images, 12)), inputs)
    assert view.pictures.pixels(view.pictures.input(0)).shape == (6, 6)
    assert "error" in view.show(view.pictures.input(1), State(1)).tiles
    assert view.pictures.thumbnails().count("<button") == 30


def test_importance_over_training_is_shown_where_the_run_kept_it(run, view, tmp_path):
    history = read_importance(run)
    assert np.shape(history["values"]) == (len(history["step"]), 8)
    model = load(run / "checkpoints")
    np.testing.assert_allclose(
        history["values"][-1], model.state.batch_stats["batch_top_k"]["importance"], rtol=1e-3
    )
    assert "<img" in view.importance(run / "checkpoints")
    (checkpoint,) = (run / "checkpoints").iterdir()
    assert "<img" in view.importance(checkpoint)
    assert find_inputs(run, "test").digest == view.inputs.digest
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / checkpoint.name).symlink_to(checkpoint)
    assert read_importance(tmp_path) is None


def test_a_drawing_becomes_a_centred_digit(view):
    ink = np.zeros((280, 280), np.float32)
    ink[200:270, 5:15] = 0.5
    image = as_digit(ink, 28, 28)
    rows, columns = np.nonzero(image[..., 0])
    assert (np.ptp(rows) + 1, rows.mean(), columns.mean()) == (20, 13.5, pytest.approx(13.5, abs=1))
    assert image.dtype == np.float32
    assert view.model.code(image).shape == (8,)
    assert not as_digit(np.zeros((280, 280), np.float32), 28, 28).any()


@pytest.mark.parametrize("width", [1025, 20_000, 2**31 - 1])
@pytest.mark.parametrize("headers", [1, 2])
def test_a_drawing_of_too_many_pixels_is_refused_before_it_is_decoded(width, headers, monkeypatch):
    """Its size may stand in a second header, too."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    sizes = [(8, 8), (width, 8)][-headers:]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 6, 0, 0, 0)) for size in sizes
    )
    png += chunk(b"IDAT", zlib.compress(bytes(8 * 33))) + chunk(b"IEND", b"")
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="of 1024 x 1024 pixels at most"):
        decode_drawing("data:image/png;base64," + base64.b64encode(png).decode())


@pytest.mark.parametrize("data_url", [None, 3, "", "aGVsbG8=", "data:image/png;base64,aGVsbG8="])
def test_what_is_no_drawing_is_refused(data_url):
    with pytest.raises(ValueError, match="a drawing must be a data URL of a PNG picture"):
        decode_drawing(data_url)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--checkpoint", "none"], "no checkpoint in"),
        (["--checkpoint", "{run}", "--dense", "none"], "no checkpoint in"),
        (["--checkpoint", "{run}", "--gallery", "none"], "gallery must be a folder that"),
        (["--checkpoint", "{run}", "--port", "70000"], "port must lie in [0, 65535], got 70000"),
        (["--checkpoint", "{run}", "--port", "{taken}"], "cannot listen on 127.0.0.1:{taken}: Add"),
        (["--checkpoint", "{run}", "--host", "203.0.113.1"], "cannot listen on 203.0.113.1:7860"),
    ],
)
def test_bad_flags_exit_with_2_and_a_reason(run, flags, message, capsys, monkeypatch):
    monkeypatch.setattr(explore, "load", lambda path: pytest.fail("a model was loaded"))
    monkeypatch.setattr(explore.importlib.util, "find_spec", lambda name: True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        names = {"run": run / "checkpoints", "taken": taken.getsockname()[1]}
        with pytest.raises(SystemExit) as stopped:
            cli.run(explore.main, [flag.format(**names) for flag in flags])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert message.format(**names) in said
    assert said.count("\n") == 1


def test_a_missing_extra_is_named(run, capsys, monkeypatch):
    monkeypatch.setattr(explore.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stopped:
        cli.run(explore.main, ["--checkpoint", str(run / "checkpoints")])
    assert stopped.value.code == 2
    assert (
        "needs the extra `explore`: pip install 'vae_topk_jax[explore]' or"
        in capsys.readouterr().err
    )
