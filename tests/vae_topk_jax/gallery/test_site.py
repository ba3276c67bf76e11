"""What the files of a gallery say is what the model gives; nothing in them is anybody's HTML."""

import dataclasses
import html
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.galleries import data_of, dictionary
from tests.helpers.html_page import Page
from vae_topk_jax.data import to_unit_float
from vae_topk_jax.gallery import site
from vae_topk_jax.gallery.drawing import STEPS
from vae_topk_jax.gallery.pictures import Scale, signed
from vae_topk_jax.inference import Inference
from vae_topk_jax.metrics.recovery import mean_correlation

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028\"'"
LOSSY = 12  # of 255, the mean change of a pixel by WebP


@pytest.fixture(scope="module")
def gallery(model, blobs, tmp_path_factory) -> Path:
    history = {"step": [1, 2], "values": [[0.5] * 8, [0.25] * 8]}
    page = model.gallery(
        blobs.test_images,
        tmp_path_factory.mktemp("site") / "gallery",
        labels=blobs.test_labels,
        source=HOSTILE,
        history=history,
        against=model,
        metrics={"psnr": 12.3456},
        examples=3,
    )
    return page.parent


@pytest.fixture(scope="module")
def vectors(blobs) -> np.ndarray:
    return to_unit_float(blobs.test_images[:64]).reshape(64, 1, 1, -1)


@pytest.fixture(scope="module")
def of_vectors(vectors, tmp_path_factory) -> Path:
    """Of a dictionary of vectors, with texts, against one of another seed, and with a meta-SAE."""
    ours = dictionary(vectors, 70)
    directions = np.asarray(ours.variables["params"]["W_dec"])[:, None, None, :]
    out = tmp_path_factory.mktemp("site") / "vectors"
    return ours.gallery(
        vectors,
        out,
        previews=[f"{HOSTILE} number{i}" for i in range(64)],
        against=dictionary(vectors, 70, seed=1),
        meta=dictionary(directions, 4, threshold=0.05),
    ).parent


def tile(gallery: Path, file: str, sheet: dict, at: int) -> np.ndarray:
    page = np.asarray(Image.open(gallery / "pictures" / file).convert("L"))
    top, left = at // sheet["columns"] * sheet["height"], at % sheet["columns"] * sheet["width"]
    return page[top : top + sheet["height"], left : left + sheet["width"]].astype(float)


def assert_similar(shown: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(shown - expected.astype(float)).mean() < LOSSY


def test_the_numbers_are_those_of_the_codes(gallery, model, blobs):
    codes_NxD = np.asarray(model.encode(to_unit_float(blobs.test_images)))
    summary, records = data_of(gallery, "summary"), data_of(gallery, "records-000")
    np.testing.assert_allclose(summary["columns"]["frequency"], (codes_NxD != 0).mean(0), rtol=1e-3)
    assert len(records) == summary["latents"] == 8
    for d, record in enumerate(records):
        assert record["history"] == [0.5, 0.25]
        if summary["columns"]["frequency"][d] == 0:
            assert "examples" not in record
            continue
        for found in record["examples"].values():
            for index, value, label, _ in found:
                assert value == pytest.approx(codes_NxD[index, d], rel=1e-3, abs=1e-6)
                assert label == blobs.test_labels[index]
        assert record["partner"] == [d, 1.0]
        active_N = codes_NxD[:, d] != 0
        for label, share in record["labels"]:
            assert share == pytest.approx(active_N[blobs.test_labels == label].mean(), rel=1e-3)
        for other, share in record["together"]:
            both_N, either_N = (
                active_N & (codes_NxD[:, other] != 0),
                active_N | (codes_NxD[:, other] != 0),
            )
            assert share == pytest.approx(both_N.sum() / either_N.sum(), rel=1e-3)


def test_the_pictures_are_the_inputs_and_the_decoders(gallery, model, blobs):
    summary, records = data_of(gallery, "summary"), data_of(gallery, "records-000")
    sheets, row = summary["sheets"], 0
    codes_ZxD = np.asarray(model.encode(to_unit_float(blobs.test_images[summary["bases"]])))
    assert len(set(blobs.test_labels[summary["bases"]])) == 3
    for d, record in enumerate(records):
        if summary["card"][d] < 0:
            continue
        index, _, _, shown = record["examples"]["random"][0]
        assert_similar(
            tile(gallery, "examples-000.webp", sheets["examples"], shown),
            blobs.test_images[index, ..., 0],
        )
        low, high = (ends[d] for ends in summary["range"])
        alone_1xD = np.zeros((1, 8), np.float32)
        alone_1xD[0, d] = high if high >= -low else low
        alone, nothing = (np.asarray(model.decode(z))[0] for z in (alone_1xD, 0 * alone_1xD))
        moved_ZxD = codes_ZxD.copy()
        moved_ZxD[:, d] = high
        last = np.asarray(model.decode(moved_ZxD))[2]
        start = row * sheets["along"]["columns"]
        for at, expected in ((0, alone), (3 * STEPS, last)):
            assert_similar(
                tile(gallery, "along-000.webp", sheets["along"], start + at),
                Scale(0, 1).bytes_of(expected),
            )
        change = tile(gallery, "cards-000.webp", sheets["cards"], summary["card"][d])
        assert_similar(change, signed(alone - nothing))
        row += 1
    assert row > 0


def test_the_page_closes_its_tags_and_texts_are_text(gallery):
    page = (gallery / "index.html").read_text(encoding="utf-8")
    shown = Page(re.sub("<input[^>]*>", "", page))
    assert HOSTILE not in page
    assert any(HOSTILE in text for text in shown.texts)
    assert html.escape("<img src=x", quote=False) in page
    assert "12.35" in page
    assert "same configuration and seed" in page.lower()


def test_nothing_refers_to_another_machine(gallery):
    for path in gallery.rglob("*"):
        if path.suffix in (".html", ".js", ".css"):
            found = set(re.findall(r"(?:https?:)?//[a-z]\S*", path.read_text(encoding="utf-8")))
            assert {x for x in found if "www.w3.org/2000/svg" not in x} == set(), path


@pytest.mark.parametrize("scheme", [0, 1])
def test_texts_have_the_contrast_of_level_aa(gallery, scheme):
    style = (gallery / "assets" / "gallery.css").read_text(encoding="utf-8")
    root = re.findall(r":root {(.*?)}", style, re.DOTALL)[scheme]
    colours = dict(re.findall(r"--(\w+): (#\w+)", root))

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        channels = np.array([int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)])
        curved = ((channels + 0.055) / 1.055) ** 2.4
        linear = np.where(channels <= 0.04045, channels / 12.92, curved)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    def contrast(a: str, b: str) -> float:
        low, high = sorted(luminance(colours[name]) for name in (a, b))
        return (high + 0.05) / (low + 0.05)

    for name in ("ink", "quiet", "link", "bad"):
        assert contrast(name, "paper") >= 4.5, name
        assert contrast(name, "field") >= 4.5, name
    for name in ("bar", "edge"):
        assert contrast(name, "paper") >= 3, name


@pytest.mark.long
def test_vectors_have_texts_components_meta_latents_and_stitches(of_vectors, vectors):
    summary = data_of(of_vectors, "summary")
    records = data_of(of_vectors, "records-000") + data_of(of_vectors, "records-001")
    assert len(records) == summary["latents"] == 70
    assert summary["sheets"] == {}
    assert list((of_vectors / "pictures").iterdir()) == []
    alive = [d for d, share in enumerate(summary["columns"]["frequency"]) if share]
    assert alive
    for d in alive:
        record = records[d]
        index, _, label, text = record["examples"]["highest"][0]
        assert (label, text) == (None, f"{HOSTILE} number{index}")
        assert f"number{index}" in summary["words"][d]
        assert len(record["components"]) == 8
        at_least = summary["columns"]["frequency"][d] * 64
        assert sum(record["histogram"]["counts"]) >= at_least - 0.1
        assert [meta for meta, _, _ in record["meta"]] == sorted(
            summary["meta"][d], key=lambda meta: [m for m, _, _ in record["meta"]].index(meta)
        )
        assert record["stitch"]["kind"] in ("insert", "swap")
        assert d in record["stitch"]["added"]
        assert "lowest" not in record["examples"]
    assert any(records[d]["meta"] for d in alive)


@pytest.mark.long
def test_the_comparison_is_a_matching_of_both(of_vectors, vectors):
    comparison, summary = data_of(of_vectors, "comparison"), data_of(of_vectors, "summary")
    ours, theirs = (dictionary(vectors, 70, seed=seed) for seed in (0, 1))
    rows = [np.asarray(model.variables["params"]["W_dec"]) for model in (ours, theirs)]
    kept = [summary["map"]["latent"], comparison["latents"]]
    expected = mean_correlation(*(row[latents] for row, latents in zip(rows, kept, strict=True)))
    cosines = [cosine for _, _, cosine in comparison["pairs"]]
    assert np.mean(cosines) == pytest.approx(expected, rel=1e-3)
    assert f"matching: {expected:.3f}" in (of_vectors / "index.html").read_text(encoding="utf-8")


def test_an_earlier_gallery_is_replaced_and_nothing_else(model, blobs, tmp_path):
    out = tmp_path / "gallery"
    for source in ("first", "second"):
        model.gallery(blobs.test_images[:8], out, source=source)
    assert "second" in (out / "index.html").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["gallery"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    with pytest.raises(ValueError, match="out must be a new folder or hold a gallery, got"):
        model.gallery(blobs.test_images[:8], tmp_path / "mine")


def test_pictures_shrink_where_they_would_take_too_much(model, blobs, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "_BUDGET", 3000)
    out = model.gallery(blobs.test_images[:32], tmp_path / "gallery").parent
    sheets = data_of(out, "summary")["sheets"].values()
    assert all(sheet["height"] == sheet["width"] < 12 for sheet in sheets)
    assert sum(path.stat().st_size for path in (out / "pictures").iterdir()) < 4000


def test_what_does_not_fit_is_refused(model, blobs, tmp_path):
    images, out = blobs.test_images[:8], tmp_path / "gallery"
    of_vectors = dataclasses.replace(model.info, image_shape=(1, 1, 9))
    other = Inference(model.state, of_vectors, copy=False)
    for options, message in (
        ({"previews": ["one"]}, "previews must be one for each of the 8 inputs, got 1"),
        ({"previews": np.zeros((8, 2, 2))}, r"previews must be texts or uint8 images .* float64"),
        ({"examples": 0}, r"examples must lie in \[1, 64\], got 0"),
        ({"meta": model}, r"meta must be a model of directions \(1, 1, 144\), got one of"),
        ({"against": other}, "against must be a model of inputs"),
        ({"history": {"step": [1], "values": [[1.0]]}}, "history must be of 8 latents, got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            model.gallery(images, out, **options)
    with pytest.raises(ValueError, match=r"images must have shape \(N, 12, 12, 1\), got"):
        model.gallery(images[:, :5], out)
    assert list(tmp_path.iterdir()) == []
