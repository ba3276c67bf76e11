"""A trained model, loaded or exported, under what Python and JAX do to objects and functions."""

import copy
import pickle

import jax
import numpy as np
import pytest

from tests.helpers.runs import untrained
from vae_topk_jax.data import to_unit_float
from vae_topk_jax.export import export_model, load_exported

COPIES = {"pickle": lambda model: pickle.loads(pickle.dumps(model)), "deepcopy": copy.deepcopy}
TRACES = {
    "jit": lambda function, x: jax.jit(function)(x),
    "vmap": lambda function, x: jax.vmap(function)(x[:, None]),
    "grad": lambda function, x: jax.grad(lambda x: function(x).sum())(x),
}


@pytest.fixture(scope="module")
def x(blobs) -> np.ndarray:
    return to_unit_float(blobs.test_images[:4])


@pytest.fixture(scope="module", params=["loaded", "exported"])
def model(request, blobs, tmp_path_factory):
    loaded = untrained(blobs)
    if request.param == "loaded":
        return loaded
    return load_exported(export_model(loaded, tmp_path_factory.mktemp("exported") / "model"))


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_gives_the_same_codes(model, x, name):
    again = COPIES[name](model)
    np.testing.assert_array_equal(again.encode(x), model.encode(x))
    np.testing.assert_array_equal(again.reconstruct(x), model.reconstruct(x))


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("method", ["encode", "reconstruct"])
def test_a_traced_array_is_refused_with_what_to_call(model, x, name, method):
    with pytest.raises(ValueError, match=r"images must be .* traced: .* call `") as error:
        TRACES[name](getattr(model, method), x)
    assert "\n" not in str(error.value)


def test_what_it_names_works_inside_jit_vmap_and_grad(blobs, x, tmp_path):
    loaded = untrained(blobs)
    exported = load_exported(export_model(loaded, tmp_path / "model"))
    codes = np.asarray(loaded.encode(x))

    def encode(x):
        return loaded.model.apply(loaded.variables, x, method="encode")

    for function in (encode, exported.programs["encoder"].call):
        np.testing.assert_allclose(jax.jit(function)(x), codes, rtol=1e-5, atol=1e-6)
    by_image = jax.vmap(encode)(x[:, None])[:, 0]
    np.testing.assert_allclose(by_image, codes, rtol=1e-5, atol=1e-6)
    assert np.isfinite(jax.grad(lambda x: encode(x).sum())(x)).all()
    program = exported.programs["encoder"]
    for name, message in (("vmap", "Batching rule"), ("grad", "No VJP is available")):
        with pytest.raises((NotImplementedError, ValueError), match=message):
            TRACES[name](program.call, x)
