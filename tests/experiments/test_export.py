"""The model card says what the run knows."""

import dataclasses

import jax.numpy as jnp
import pytest

from experiments import export
from experiments.records.rows import ResultsFile, Row
from experiments.terminal import cli
from tests.helpers.runs import untrained
from vae_topk_jax.checkpoint import save_checkpoint
from vae_topk_jax.inference import Inference


@pytest.fixture
def model(blobs) -> Inference:
    model = untrained(blobs, seed=3)
    step = jnp.asarray(model.info.trainer.total_steps, jnp.int32)
    return Inference(dataclasses.replace(model.state, step=step), model.info)


def write_run(out, model: Inference, **metrics: float) -> None:
    save_checkpoint(out / "checkpoints", model.state, model.info)
    config, data = model.config.to_dict(), model.info.data
    about = {"experiment": "train", "variant": "", "model": model.config.model, "seconds": 1.0}
    ResultsFile(out).add(Row(**about, config=config, seed=3, data=data, metrics=metrics))


def card_of(out, *flags) -> str:
    given = ["--checkpoint", str(out / "checkpoints"), "--out", str(out / "exported"), *flags]
    cli.run(export.main, given)
    return (out / "exported" / "README.md").read_text()


def test_a_card_names_data_seed_settings_metrics_and_limits(model, tmp_path):
    write_run(tmp_path, model, psnr=20.123456, active_dims=2)
    card = card_of(tmp_path)
    for text in (
        "Data: synthetic spots, 512 training images. Step 24 of 24, seed 3.",
        "latent_dim=8, widths=(32,), k=2, selection=dimension",
        "On the 128 test images",
        "| psnr | 20.123 |",
        "- PSNR: peak signal-to-noise ratio of each test image",
        "shape (N, 12, 12, 1) in [0, 1]",
        "## Limits",
        'load_exported("exported")',
    ):
        assert text in card
    assert "SSIM" not in card
    assert str(tmp_path) not in card


def test_metrics_of_another_step_or_configuration_are_not_claimed(model, blobs, tmp_path):
    earlier = dataclasses.replace(model.state, step=jnp.asarray(8, jnp.int32))
    write_run(tmp_path / "earlier", Inference(earlier, model.info), psnr=20.0)
    assert "Not measured at this step." in card_of(tmp_path / "earlier")
    write_run(tmp_path / "other", untrained(blobs, seed=3, k=3), psnr=20.0)
    save_checkpoint(tmp_path / "other" / "checkpoints", model.state, model.info)
    assert "Not measured" in card_of(tmp_path / "other")


def test_a_part_is_not_said_to_do_more(model, tmp_path):
    write_run(tmp_path, model, psnr=20.0)
    card = card_of(tmp_path, "--part", "encoder")
    assert "model.encode(images)" in card
    assert "model.decode" not in card
    assert "decoder.stablehlo" not in card


def test_no_checkpoint_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        card_of(tmp_path)
    assert stopped.value.code == 2
    assert "error: no checkpoint in" in capsys.readouterr().err
