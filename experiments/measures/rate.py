"""Rate and distortion of a model with a posterior."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from experiments.study.keys import study_key
from vae_topk_jax.divergences import normal_kl
from vae_topk_jax.inference import Inference
from vae_topk_jax.losses import spike_and_slab_kl

_LEAST = 1e-6


def rate_and_distortion(inference: Inference, images: np.ndarray) -> dict[str, float]:
    """The rate, the distortion of the codes drawn at it, and both in nats.

        rate = sum_d [m_d KL(N(mu_d, sigma_d^2) || N(0, 1)) + KL(Bernoulli(m_d) || Bernoulli(f_d))]

    with the mask m of the image, or the probabilities of a spike-and-slab posterior, and their mean
    f over the images: a dense model has its KL, a fixed mask costs nothing, and a choice of latents
    what it takes to code which; by slot a group has one choice, of cost -log f of what it chose in
    place of the second term. The prior is this one for all, so that the rate of a model with a
    learnt prior is a bound from above. The distortion in nats is the negative log-likelihood of the
    pixels under a Gaussian whose one variance is the mean squared error,

        P / 2 (log(2 pi MSE) + 1)   for P pixels,

    so that rate plus distortion bounds -log p(x) whatever beta was.

    References:
        Alemi et al., "Fixing a Broken ELBO", ICML 2018 (the plane). Rybkin, Daniilidis & Levine,
        "Simple and Effective VAE Training with Calibrated Decoders", ICML 2021 (the variance).
    """
    key = study_key(inference.config.seed, "rate")
    codes = Inference(inference.state, inference.info, key).encode(images)
    mse = float(np.mean(np.square(np.asarray(inference.decode(codes)) - images)))
    posterior = jax.jit(functools.partial(inference.model.apply, method="posterior"))
    mu_NxD, logvar_NxD, *gates = posterior(inference.variables, images)
    gate_NxD = gates[0] if gates else (codes != 0).astype(jnp.float32)
    share_1xD = jnp.clip(jnp.mean(gate_NxD, axis=0, keepdims=True), _LEAST, 1 - _LEAST)
    if getattr(inference.model, "selection", None) == "slot":
        choice_NxD = normal_kl(mu_NxD, logvar_NxD) - jnp.log(share_1xD)
        rate_N = jnp.sum(gate_NxD * choice_NxD, axis=1)
    else:
        rate_N = spike_and_slab_kl(mu_NxD, logvar_NxD, gate_NxD, share_1xD, "sum")
    rate = float(jnp.mean(rate_N))
    nats = 0.5 * images[0].size * (math.log(2 * math.pi * mse) + 1)
    return {"rate": rate, "mse": mse, "distortion": nats, "rate_and_distortion": rate + nats}
