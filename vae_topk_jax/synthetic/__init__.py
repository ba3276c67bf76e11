"""Vectors whose features are known: sparse sums of directions, as SynthSAEBench makes them."""

from vae_topk_jax.synthetic.ground_truth import (
    Drawn,
    GroundTruth,
    add_up,
    draw,
    draw_features,
    make_ground_truth,
)
from vae_topk_jax.synthetic.setting import SETTINGS, Setting

__all__ = [
    "SETTINGS",
    "Drawn",
    "GroundTruth",
    "Setting",
    "add_up",
    "draw",
    "draw_features",
    "make_ground_truth",
]
