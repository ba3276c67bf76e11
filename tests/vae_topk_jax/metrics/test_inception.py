"""Inception FID, with random weights in torch-fidelity's format where the extra is installed."""

import subprocess
import sys

import numpy as np
import pytest

from vae_topk_jax.metrics import frechet_distance, inception_fid


def images(count, channels, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, channels), np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch = pytest.importorskip("torch")
    extractor = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    with pytest.MonkeyPatch.context() as patch:
        # The constructor always loads weights: this one keeps those that it drew itself.
        patch.setattr(extractor.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        patch.setattr(torch, "load", lambda *_, **__: {})
        torch.manual_seed(0)
        network = extractor.FeatureExtractorInceptionV3(
            "inception", ["2048"], feature_extractor_weights_path=str(path)
        )
    torch.save(network.state_dict(), path)
    return path


def test_the_distance_is_that_of_the_features_of_the_network(weights):
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    a, b = images(5, 3, 0), images(4, 3, 1) // 2
    network = FeatureExtractorInceptionV3(
        "inception", ["2048"], feature_extractor_weights_path=str(weights)
    )
    features_a, features_b = (
        network(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))[0].numpy() for x in (a, b)
    )
    assert features_a.shape == (5, 2048)
    expected = frechet_distance(features_a, features_b)
    assert expected > 0
    assert inception_fid(a, b, weights) == pytest.approx(expected, rel=1e-3)


def test_grey_images_are_repeated_to_three_channels(weights):
    a, b = images(3, 1, 2), images(3, 1, 3) // 3
    colour = [np.repeat(x, 3, axis=3) for x in (a, b)]
    assert inception_fid(a, b, weights) == pytest.approx(inception_fid(*colour, weights), rel=1e-6)


@pytest.mark.parametrize("kind", ["text", "empty", "another network", "a pickled function"])
def test_a_file_that_is_not_the_weights_is_refused(weights, tmp_path, kind):
    import torch

    path = tmp_path / "file.pth"
    if kind == "text":
        path.write_text("these are no weights")
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        torch.save({"x": torch.zeros(2) if kind == "another network" else subprocess.run}, path)
    with pytest.raises(
        ValueError, match=r"weights_path must hold Inception weights, got .*file\.pth"
    ):
        inception_fid(images(2, 1, 0), images(2, 1, 1), path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"weights_path must be a file.*missing\.pth"):
        inception_fid(images(2, 1, 0), images(2, 1, 1), tmp_path / "missing.pth")


def test_a_missing_extra_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    path = tmp_path / "weights.pth"
    path.touch()
    with pytest.raises(ImportError, match=r"pip install 'vae_topk_jax\[inception\]'") as info:
        inception_fid(images(2, 1, 0), images(2, 1, 1), path)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((2, 8, 8, 1), np.float32), "images_b must be uint8.*float32"),
        (np.zeros((2, 8, 8, 4), np.uint8), r"images_b must be uint8.*\(2, 8, 8, 4\)"),
        (np.zeros((8, 8, 3), np.uint8), r"images_b must be uint8.*\(8, 8, 3\)"),
    ],
)
def test_wrong_images_are_named(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        inception_fid(images(2, 1, 0), wrong, tmp_path / "weights.pth")


def test_importing_the_metrics_imports_no_heavy_package():
    code = (
        "import sys, vae_topk_jax.metrics;"
        "print([m for m in ('torch', 'sklearn', 'skimage', 'tensorflow', 'matplotlib')"
        " if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert result.stdout.strip() == "[]"
