"""A model goes to a hub with its card, and comes back by its name."""

import sys

import numpy as np
import pytest

import vae_topk_jax.export
from experiments.chaos.stand_in_hub import running_hub
from tests.helpers.runs import untrained
from vae_topk_jax import from_pretrained, hub, load
from vae_topk_jax.data import to_unit_float

huggingface_hub = pytest.importorskip("huggingface_hub")

REPO = "me/digits"


@pytest.fixture(scope="module")
def model(blobs):
    return untrained(blobs)


@pytest.fixture(scope="module")
def server():
    with pytest.MonkeyPatch.context() as patch, running_hub() as server:
        patch.setenv("HF_TOKEN", "hf_none")
        yield server


@pytest.fixture(scope="module")
def address(model, server) -> str:
    return model.push_to_hub(REPO, metrics={"psnr": 20.5}, endpoint=server.endpoint)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("VAE_TOPK_CACHE", str(tmp_path))
    return tmp_path


def test_what_is_pushed_is_loaded_by_its_name(model, server, address, blobs, cache):
    x = to_unit_float(blobs.test_images)
    again = from_pretrained(REPO, endpoint=server.endpoint)
    np.testing.assert_array_equal(again.encode(x), model.encode(x))
    assert again.config == model.config
    commit = address.rpartition("/")[2]
    folder = cache / "hub" / REPO / commit
    np.testing.assert_array_equal(load(folder).encode(x), model.encode(x))
    # A commit that is here already needs no hub.
    here = from_pretrained(REPO, revision=commit, endpoint="http://127.0.0.1:1")
    assert here.info.to_dict() == model.info.to_dict()


def test_the_card_is_one_that_the_hub_renders(server, address):
    card = huggingface_hub.ModelCard(server.repos[REPO]["README.md"].decode())
    assert card.data.library_name == "vae_topk_jax"
    assert card.data.pipeline_tag == "image-feature-extraction"
    assert {"jax", "sparse"} <= set(card.data.tags)
    assert f'model = from_pretrained("{REPO}")' in card.text
    assert 'model = load_exported("digits")' in card.text
    assert "| psnr | 20.5 |" in card.text


def test_a_file_that_was_damaged_in_the_cache_is_named(server, address, cache):
    from_pretrained(REPO, endpoint=server.endpoint)
    (weights,) = cache.rglob("model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        from_pretrained(REPO, endpoint=server.endpoint)


@pytest.mark.parametrize("repo", ["digits", "../digits", "me/..", "me/digits/x", "me/ digits", ""])
def test_what_is_no_name_is_refused_before_anything_is_done(model, repo, monkeypatch):
    monkeypatch.setattr(vae_topk_jax.export, "export_model", None)
    for call in (model.push_to_hub, from_pretrained):
        with pytest.raises(ValueError, match="repo must be OWNER/NAME, got "):
            call(repo)


def test_a_repository_that_is_not_there_is_one_line(server, cache):
    with pytest.raises(OSError, match=f"me/nothing at {server.endpoint}: ") as error:
        from_pretrained("me/nothing", endpoint=server.endpoint)
    assert "\n" not in str(error.value)
    assert not list(cache.rglob("*"))


def test_without_the_extra_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"the hub needs the extra `hub`: pip install"):
        hub.pull(REPO, tmp_path / "out")
