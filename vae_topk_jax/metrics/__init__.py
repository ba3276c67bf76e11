"""How good images and features are: nothing here knows which model made them."""

from .frechet import feature_distances, frechet_distance, kernel_distance
from .image import psnr, psnr_of_mean_error, reconstruction_metrics, ssim
from .inception import inception_fid
from .likelihood import Bounds, likelihood_bounds
from .linear_probe import linear_probe_accuracy
from .probe import Probe, TrainedProbe, train_probe
from .probe_cache import load_or_train_probe
from .sparsity import sparsity_metrics
from .variance import explained_variance

__all__ = [
    "Bounds",
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
    "psnr",
    "psnr_of_mean_error",
    "reconstruction_metrics",
    "sparsity_metrics",
    "ssim",
    "train_probe",
]
