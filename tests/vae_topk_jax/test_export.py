"""Model files: they give what the model gives, alone and elsewhere, and only if they are whole."""

import json
import subprocess
import sys
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export as jax_export

from tests.helpers.runs import BESIDES, SMALL, untrained
from vae_topk_jax import manifest, programs
from vae_topk_jax.data import to_unit_float
from vae_topk_jax.export import export_model, load_exported
from vae_topk_jax.inference import Inference, load, load_weights
from vae_topk_jax.models import MODELS

ONLY_JAX = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"flax", "optax", "orbax", "chex", "safetensors", "sklearn"}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import numpy as np
from vae_topk_jax.export import load_exported
model = load_exported(sys.argv[1])
np.save(sys.argv[3], model.reconstruct(np.load(sys.argv[2])))
"""


# what names this machine: source files, the folders they are in, the user's
HERE = [b".py", *(str(path).encode() for path in (*filter(None, sys.path), Path.home()))]


@pytest.fixture(scope="module")
def model(blobs) -> Inference:
    return untrained(blobs)


@pytest.fixture
def folder(model, tmp_path):
    return export_model(model, tmp_path / "model")


@pytest.fixture
def x(blobs) -> np.ndarray:
    return to_unit_float(blobs.test_images)


QUICK: dict[str, dict] = BESIDES | {
    "top_k_vae": {"selection": "sample"},
    "sparse_generator": {"inference_steps": 3},
}


@pytest.mark.parametrize("name", MODELS)
def test_every_system_is_exported_and_read_back(blobs, x, tmp_path, name):
    model = untrained(blobs, model=name, **QUICK.get(name, {}))
    export_model(model, tmp_path / "model")
    again = load_weights(tmp_path / "model")
    exported = load_exported(tmp_path / "model", verify=False)
    chex.assert_trees_all_equal(again.variables, model.variables)
    assert (again.info, int(again.state.step)) == (model.info, int(model.state.step))
    np.testing.assert_allclose(exported.encode(x), model.encode(x), rtol=1e-6, atol=1e-6)
    z = np.random.default_rng(0).normal(size=(128, 8)).astype(np.float32)
    np.testing.assert_allclose(exported.decode(z), model.decode(z), rtol=1e-6, atol=1e-6)
    for path in (tmp_path / "model").iterdir():
        assert not [part for part in HERE if part in path.read_bytes()], path.name


def test_weights_give_the_bits_that_the_model_gives(folder, model, x):
    again = load_weights(folder)
    np.testing.assert_array_equal(again.encode(x), model.encode(x))
    np.testing.assert_array_equal(again.reconstruct(x), model.reconstruct(x))
    key = jax.random.key(0)
    np.testing.assert_array_equal(again.generate(key, 4), model.generate(key, 4))
    assert again.active_dims.tolist() == model.active_dims.tolist()


def test_one_program_is_for_every_batch_and_every_platform(folder, model, x):
    exported = load_exported(folder, verify=False)
    for program in exported.programs.values():
        assert program.platforms == ("cpu", "cuda", "tpu")
        assert [str(aval.shape[0]) for aval in program.in_avals] == ["N"]
    for size in (1, 3, 128):
        np.testing.assert_allclose(exported.encode(x[:size]), model.encode(x)[:size], atol=1e-6)
    many = np.concatenate([x] * 9)
    assert exported.reconstruct(many).shape == many.shape


def test_jax_alone_is_enough(folder, model, x, tmp_path):
    np.save(tmp_path / "x.npy", x)
    command = [sys.executable, "-c", ONLY_JAX, str(folder), tmp_path / "x.npy", tmp_path / "y.npy"]
    subprocess.run(command, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), model.reconstruct(x), atol=1e-6)


@pytest.mark.parametrize(("part", "other"), [("encoder", "decoder"), ("decoder", "encoder")])
def test_a_part_is_a_program_alone(model, x, tmp_path, part, other):
    exported = load_exported(export_model(model, tmp_path / "model", part), verify=False)
    assert list(exported.programs) == [part]
    with pytest.raises(ValueError, match=f"the folder of the exported model has no {other}"):
        exported.reconstruct(x)


@pytest.mark.long
def test_passes_of_refinement_are_part_of_the_encoder(blobs, x, tmp_path):
    model = untrained(blobs, model="beta_vae", widths=(16,))
    exported = load_exported(
        export_model(model, tmp_path / "model", "encoder", refine=2), verify=False
    )
    assert exported.refine == 2
    codes = np.asarray(exported.encode(x[:3]))
    np.testing.assert_allclose(codes, model.encode(x[:3], refine=2), rtol=1e-4, atol=1e-5)
    before, after = (np.asarray(model.decode(z)) for z in (model.encode(x[:3]), codes))
    assert np.square(after - x[:3]).mean() < np.square(before - x[:3]).mean()
    with pytest.raises(ValueError, match="refine must be 0 for the decoder alone, got 1"):
        export_model(model, tmp_path / "other", "decoder", refine=1)


def test_what_the_model_refuses_is_refused(folder, x):
    exported = load_exported(folder, verify=False)
    for bad in ((255 * x).astype(np.uint8), x + 1, x[..., 0], x[:0], np.full_like(x, np.nan)):
        with pytest.raises(ValueError, match="images must"):
            exported.encode(bad)
    with pytest.raises(ValueError, match=r"z must have shape \(N, 8\), got \(2, 3\)"):
        exported.decode(np.zeros((2, 3), np.float32))


def test_a_bad_part_and_a_folder_in_use_are_refused(model, folder):
    with pytest.raises(ValueError, match=r"part must be one of .*, got 'all'"):
        export_model(model, folder, "all")
    with pytest.raises(FileExistsError, match="exists already"):
        export_model(model, folder)


@pytest.mark.parametrize("name", ["encoder.stablehlo", "model.safetensors", "config.json"])
@pytest.mark.parametrize("read", [load_exported, load_weights, load])
def test_a_damaged_file_is_named(folder, read, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is damaged"):
        read(folder)


def test_a_card_may_be_edited_but_nothing_else_be_added(folder):
    (folder / "README.md").write_text("mine")
    load_exported(folder)
    (folder / "load.pkl").write_bytes(b"\x80\x04cos\nsystem\n.")
    with pytest.raises(ValueError, match=r"load\.pkl is not in the manifest"):
        load_weights(folder)


def altered(folder, name: str, content: bytes):
    """The folder with another file under that name, its manifest made anew."""
    (folder / name).write_bytes(content)
    manifest.write_manifest(folder)
    return folder


@pytest.mark.parametrize("content", [b"", b"\x80\x04cos\nsystem\n.", b"\0" * 4096])
def test_what_is_not_a_program_is_refused_in_one_line(folder, content):
    with pytest.raises(ValueError, match="is not an exported program") as error:
        load_exported(altered(folder, "decoder.stablehlo", content))
    assert "\n" not in str(error.value)


def test_a_program_that_calls_out_or_of_another_model_is_refused(folder):
    def program(function):
        shape = jax.ShapeDtypeStruct(jax_export.symbolic_shape("N, 8"), jnp.float32)
        skip = [jax_export.DisabledSafetyCheck.custom_call("elsewhere")]
        return jax_export.export(jax.jit(function), disabled_checks=skip)(shape).serialize()

    calling = program(lambda z: jax.ffi.ffi_call("elsewhere", z)(z))
    with pytest.raises(ValueError, match="is refused: it calls code outside of itself"):
        load_exported(altered(folder, "decoder.stablehlo", calling))
    with pytest.raises(ValueError, match=r"must map \(8,\) to \(12, 12, 1\), as config.json"):
        load_exported(altered(folder, "decoder.stablehlo", program(lambda z: z)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 9}, "has format 9, this version reads 1"),
        ({"format": [1]}, r"has format \[1\], this version reads 1"),
        ({"step": 2**40}, r"config.json: step must be an integer in \[0, 2147483647\], got 1099"),
        ({"step": -1}, "config.json: step must be an integer"),
        ({"image_shape": "all"}, r"config.json: image_shape must be \(H, W, C\), .* got 'all'"),
        ({"image_shape": [2**20, 2**20, 1]}, r"image_shape must be .* 67,108,864 values at most"),
        ({"image_shape": [12, 12]}, "image_shape must be"),
        ({"image_shape": [True, 12, 12]}, "image_shape must be"),
        ({"input_range": [1, 0]}, r"input_range must be null or \[smallest, largest\], got"),
        ({"input_range": ["a", "b"]}, "input_range must be null or"),
        ({"data": 3}, "config.json: data must be an object, got 3"),
        ({"config": [1]}, "config.json: config must be an object"),
        ({"config": {"latent_dim": 8.5}}, "config.json: config.latent_dim must be an integer"),
        ({"config": {"latent_dim": 8, "k": 0}}, "k must be at least 1, got 0"),
        ({"config": {"latent_dim": 8, "eval": "x"}}, "eval is not a field of a configuration"),
        ({"config": SMALL.replace(widths=(9,)).to_dict()}, r"must be float32\(.*got float32\("),
        ({"config": SMALL.replace(body="residual").to_dict()}, "got left out"),
        ({"data": {}}, "config.json: data.train is missing"),
        ({"data": {"train": 512, "source": ["<b>"]}}, "data.source must be text, got"),
        ({"data_digest": None}, "data_digest must be text, got None"),
    ],
)
def test_a_configuration_that_is_not_of_the_weights_is_refused(folder, changes, message):
    about = json.loads((folder / "config.json").read_text()) | changes
    with pytest.raises(ValueError, match=message) as error:
        load_weights(altered(folder, "config.json", json.dumps(about).encode()))
    assert "\n" not in str(error.value)


def test_tensors_of_another_type_are_refused_before_they_are_read(folder):
    content = (folder / "model.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    bias = next(tensor for name, tensor in header.items() if name.endswith("bias"))
    bias |= {"dtype": "F8_E4M3", "shape": [4 * bias["shape"][0]]}
    text = json.dumps(header).encode()
    altered(
        folder, "model.safetensors", len(text).to_bytes(8, "little") + text + content[8 + size :]
    )
    with pytest.raises(
        ValueError, match=r"in .*model.safetensors must be float32.*, got F8_E4M3\("
    ):
        load_weights(folder)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("print(flush=True); os.abort()", "decoder.stablehlo is not an .*: it crashes JAX"),
        ("print(flush=True); time.sleep(60)", "decoder.stablehlo .*: it is not parsed within 1 s"),
        ("raise ImportError('jax')", "cannot parse programs with .*: ImportError: jax"),
    ],
)
def test_a_program_may_crash_the_process_that_tries_it(folder, program, message, monkeypatch):
    monkeypatch.setattr(programs, "_PARSE", f"import os, time; {program}")
    monkeypatch.setattr(programs, "_SECONDS", 1)
    with pytest.raises((ValueError, OSError), match=message) as error:
        programs.try_programs([folder / "decoder.stablehlo"])
    assert "\n" not in str(error.value)


def test_a_pickle_is_no_weights(folder):
    with pytest.raises(ValueError, match="is not a safetensors file"):
        load_weights(altered(folder, "model.safetensors", b"\x80\x04cos\nsystem\n."))


def test_no_folder_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        load_exported(tmp_path / "none")
