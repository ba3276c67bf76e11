"""How good images and features are: nothing here knows which model made them."""

from vae_topk_jax.metrics.classifier import Probe, TrainedProbe, train_probe
from vae_topk_jax.metrics.classifier_cache import load_or_train_probe
from vae_topk_jax.metrics.frechet import (
    Features,
    feature_distances,
    frechet_distance,
    kernel_distance,
)
from vae_topk_jax.metrics.image import psnr, psnr_of_mean_error, reconstruction_metrics, ssim
from vae_topk_jax.metrics.inception import inception_fid
from vae_topk_jax.metrics.likelihood import Bounds, likelihood_bounds
from vae_topk_jax.metrics.linear_probe import linear_probe_accuracy
from vae_topk_jax.metrics.sparsity import sparsity_metrics
from vae_topk_jax.metrics.variance import explained_variance, normalized_mse

__all__ = [
    "Bounds",
    "Features",
    "Probe",
    "TrainedProbe",
    "explained_variance",
    "feature_distances",
    "frechet_distance",
    "inception_fid",
    "kernel_distance",
    "likelihood_bounds",
    "linear_probe_accuracy",
    "load_or_train_probe",
    "normalized_mse",
    "psnr",
    "psnr_of_mean_error",
    "reconstruction_metrics",
    "sparsity_metrics",
    "ssim",
    "train_probe",
]
