"""What each metric means, in a sentence."""

from collections.abc import Iterable, Iterator

# by the metrics' common prefix; {measured} is the split that figures are from; {samples} and
# {probe} are filled in where they are known
DEFINITIONS = {
    "psnr": "PSNR: peak signal-to-noise ratio of each {measured} image, averaged over the images.",
    "psnr_of_mean_error": "PSNR of mean error: PSNR of the squared error averaged over all images.",
    "ssim": "SSIM: structural similarity, Gaussian window of 11 pixels with sigma 1.5.",
    "fid_clf": "FID-clf: Frechet distance on 128 penultimate features of our own MNIST CNN"
    "{samples}; not comparable with Inception FID.",
    "fid_clf_sd": "Over classifiers: standard deviation of FID-clf over three classifiers trained "
    "with other seeds; FID-clf itself is that of the first.",
    "kid_clf": "KID-clf: kernel distance (squared MMD) on the same features{samples}.",
    "novelty": "Novelty: mean distance of 1,000 generated images from the training image nearest "
    "to each, over that of as many reconstructed {measured} images; below 1 where they are copies.",
    "pixel_distance": "Kernel distance of pixels: of 2,048 images of a prior from as many "
    "reconstructions of training images, by their values; what `generate` chooses a prior by.",
    "active_latents": "Active latents: mean number of latents that are not zero in a {measured} "
    "image; under noise, in a noisy one.",
    "active_dims": "Dims in use: latent dimensions active in at least one training image of 1,000.",
    "hoyer": "Hoyer: mean Hoyer sparsity of the {measured} codes over their standard deviations; 0 "
    "where all latents are equally large, 1 where one alone is not zero.",
    "active_units": "Active units: latents whose code varies by more than 0.01 (its variance) over "
    "the {measured} images.",
    "linear_probe": "Linear probe: accuracy on the {measured} codes of a logistic regression "
    "fitted to 10,000 training codes.",
    "parameters": "Parameters: all that is trained; of PCA, components and mean.",
    "seconds_epoch": "An epoch: median time of a pass over the training images, without the first, "
    "which compiles.",
    "inference_ms": "Inference: time per image from a noisy image to its code, of 64 at once.",
    "encode_ms": "Encoding: time per image, of 1,024 at once.",
    "rate": "Rate: KL of the posterior to N(0, 1) where a latent is active, and what it costs to "
    "say which are, with each latent's own frequency as the prior; mean over {measured} images.",
    "mse": "MSE: mean squared error per pixel.",
    "distortion": "Distortion: negative log-likelihood under a Gaussian with the MSE as variance.",
    "explained_variance": "Explained variance: 1 - squared error over variance of the inputs.",
    "nmse": "NMSE: squared error over that of the mean of all inputs, 1 - explained variance.",
    "error": "Error: mean squared error of one value of an input.",
    "helping": "Novel latents that help: fraction that lower the error when inserted alone in the "
    "small dictionary; others that harm: fraction of reconstruction latents that raise it.",
    "best_threshold": "Best threshold: that of the sweep at which the novel latents together leave "
    "the smallest error.",
    "elbo": "ELBO: evidence lower bound of log p(x), natural logarithm.",
    "importance_bound": "Bound: importance-weighted bound of log p(x) (Burda et al. 2016).",
    "agreement": "Agreement: Jaccard index of a training batch's mask and the running one's.",
    "accuracy": "Accuracy: fraction of images that our own MNIST CNN{probe} classifies correctly.",
    "jaccard": "Overlap: Jaccard index of two masks, shared over joint dimensions; 1 if the same.",
    "shift": "Change of a pixel: on images scaled to 0..1.",
}


def define(
    metrics: Iterable[str], measured: str = "test", samples: str = "", probe: str = ""
) -> Iterator[str]:
    """The definitions of the metrics among these.

    Args:
        metrics: their names.
        measured: the split that they were measured on.
        samples, probe: what is known of generated images and of the classifier.

    Examples:
        >>> next(define(["mse"], "validation"))
        'MSE: mean squared error per pixel.'
    """
    names = list(metrics)
    for prefix, text in DEFINITIONS.items():
        if any(name.startswith(prefix) for name in names):
            yield text.format(measured=measured, samples=samples, probe=probe)
