"""What `import vae_topk_jax` gives, and what it leaves alone."""

import subprocess
import sys

import pytest

import vae_topk_jax

HEAVY = {
    *("flax", "matplotlib", "mlxtend", "optax", "orbax", "rich", "safetensors", "sklearn"),
    *("starlette", "tensorflow", "tensorflow_datasets", "torch", "wandb"),
}


@pytest.mark.parametrize("name", sorted(vae_topk_jax.__all__))
def test_every_public_name_is_there_and_documented(name):
    assert getattr(vae_topk_jax, name).__doc__


def test_public_names_are_stable():
    stable = {
        *("BatchTopK", "BetaVAE", "Config", "TopKVAE", "VAE"),
        *("batch_top_k_mask", "element_top_k", "sample_top_k_mask", "update_ema"),
        *("export_model", "from_pretrained", "importance", "load", "load_exported", "load_weights"),
        "scores",
    }
    assert stable <= set(vae_topk_jax.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'TopKGAN'"):
        vae_topk_jax.TopKGAN  # noqa: B018


def imported_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_stays_light():
    assert not HEAVY & imported_by("vae_topk_jax")


def test_model_files_are_read_without_what_writes_checkpoints():
    assert "orbax" not in imported_by("vae_topk_jax.inference")
