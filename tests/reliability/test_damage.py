"""No damaged checkpoint is ever read."""

import gc
import logging
import shutil
import sys
import time

import numpy as np
import pytest
import tensorstore

import vae_topk_jax.checkpoint
from tests.helpers.checkpoints import GOLDEN
from vae_topk_jax import load
from vae_topk_jax.checkpoint import CheckpointError, restore_checkpoint

FILES = sorted(
    path.relative_to(GOLDEN / "00000004") for path in GOLDEN.rglob("*") if path.is_file()
)


@pytest.fixture
def checkpoint(tmp_path):
    return shutil.copytree(GOLDEN / "00000004", tmp_path / "00000004")


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1 << len(content) % 8
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def grow(path):
    path.write_bytes(path.read_bytes() + b"\0")


def delete(path):
    path.unlink()


@pytest.mark.parametrize("damage", [flip_a_bit, truncate, grow, delete])
@pytest.mark.parametrize("name", FILES, ids=str)
def test_damage_to_any_file_is_refused_and_the_file_named(checkpoint, name, damage):
    if damage in (flip_a_bit, truncate) and not (checkpoint / name).stat().st_size:
        pytest.skip("an empty file")
    damage(checkpoint / name)
    with pytest.raises(CheckpointError, match=name.name):
        restore_checkpoint(checkpoint)


def test_a_flipped_bit_anywhere_is_refused(checkpoint):
    rng = np.random.default_rng(0)
    sizes = np.array([(checkpoint / name).stat().st_size for name in FILES])
    for _ in range(200):
        name = FILES[rng.choice(len(FILES), p=sizes / sizes.sum())]
        whole = (checkpoint / name).read_bytes()
        spoilt = bytearray(whole)
        spoilt[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        (checkpoint / name).write_bytes(spoilt)
        with pytest.raises(CheckpointError, match=name.name):
            restore_checkpoint(checkpoint)
        (checkpoint / name).write_bytes(whole)
    assert load(checkpoint).config.k == 1


def test_a_file_that_does_not_belong_is_refused(checkpoint):
    (checkpoint / "state" / "more").write_text("")
    with pytest.raises(CheckpointError, match="more is not in the manifest"):
        restore_checkpoint(checkpoint)


def test_the_comparison_may_be_left_out(checkpoint):
    (checkpoint / "more").write_text("")
    assert restore_checkpoint(checkpoint, verify=False).info.config.k == 1


def test_what_vanishes_while_it_is_read_is_one_error_and_nothing_in_the_log(
    checkpoint, caplog, monkeypatch
):
    """Orbax reads arrays beside one another: several fail at once. It does not wait for the others
    when one has failed, so that a thread of TensorStore may find the event loop closed: that is
    printed by Python, and not looked at here."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)

    def vanish(path, expected):
        for file in path.rglob("d/*"):
            file.unlink()

    monkeypatch.setattr(vae_topk_jax.checkpoint, "_check_arrays", vanish)
    with pytest.raises(CheckpointError, match=r"cannot read checkpoint .*00000004"):
        restore_checkpoint(checkpoint)
    for _ in range(5):
        time.sleep(0.1)
        gc.collect()
    assert not caplog.records


def test_a_read_that_failed_beside_another_is_not_logged(caplog, tmp_path):
    """As asyncio logs it when it collects the task: of TensorStore there is no traceback."""
    spec = {"driver": "zarr3", "kvstore": f"file://{tmp_path}/missing/"}
    of_tensorstore = tensorstore.open(spec).exception()
    for error in (of_tensorstore, ValueError("of another task")):
        logging.getLogger("asyncio").error("Future exception was never retrieved", exc_info=error)
    assert [record.exc_info[1].args for record in caplog.records] == [("of another task",)]
