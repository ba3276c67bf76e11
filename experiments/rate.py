"""Rate and distortion: the beta-VAE's curve over beta, and where each sparse model lies beside it.

    python -m experiments.rate --preset quick

Averaged losses, D = 64. Codes are drawn from the posterior, as they must be for the KL to be what
they cost: the distortion here is above that of the posterior means in the other tables.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.report import write_report
from experiments.reporting.tables import BASELINE
from experiments.study.options import StudyOptions
from experiments.study.study import Measurement, Study, study_key
from experiments.table1 import LATENT_DIM
from experiments.terminal import cli
from vae_topk_jax.config import Config
from vae_topk_jax.inference import Inference
from vae_topk_jax.losses import spike_and_slab_kl
from vae_topk_jax.runs.progress import console

BETAS = (1e-4, 3e-4, 3e-3, 1e-2, 3e-2, 1e-1)  # and the baseline's own, 1e-3
VARIANT = f"D={LATENT_DIM}"
_LEAST = 1e-6


def run(study: Study, only: str = "") -> None:
    """Measures the beta-VAE over beta, once a beta, if its title contains `only`."""
    for beta in BETAS:
        title = f"{BASELINE}, beta {beta:g}"
        fields: dict[str, Any] = {"model": "beta_vae", "latent_dim": LATENT_DIM, "beta": beta}
        if only in title:
            measure_rate(study, title, study.config(seed=study.budget.seeds[0], **fields))


def measure_rate(study: Study, title: str, config: Config) -> None:
    """Adds the rate row of one model, if it has a posterior."""
    if not hasattr(config.system, "posterior"):
        return

    def measure() -> Measurement:
        inference = study.train(config, f"{title}, seed {config.seed}").inference
        return Measurement(rate_and_distortion(inference, study.test_images))

    study.measure("rate", VARIANT, title, config.to_dict(), config.seed, measure)


def rate_and_distortion(inference: Inference, images: np.ndarray) -> dict[str, float]:
    """The rate, the distortion of the codes drawn at it, and both in nats.

        rate = sum_d [m_d KL(N(mu_d, sigma_d^2) || N(0, 1)) + KL(Bernoulli(m_d) || Bernoulli(f_d))]

    with the mask m of the image, or the probabilities of a spike-and-slab posterior, and their mean
    f over the images: a dense model has its KL, a fixed mask costs nothing, and a choice of latents
    what it takes to say which. The prior is this one for all, so that the rate of a model with a
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
    rate = float(jnp.mean(spike_and_slab_kl(mu_NxD, logvar_NxD, gate_NxD, share_1xD, "sum")))
    nats = 0.5 * images[0].size * (math.log(2 * math.pi * mse) + 1)
    return {"rate": rate, "mse": mse, "distortion": nats, "rate_and_distortion": rate + nats}


def main(options: StudyOptions) -> None:
    """The sweep over beta alone, and its report."""
    run(options.study())
    markdown, page = write_report(options.folder)
    console.print(f"report: {markdown}, {page}")


if __name__ == "__main__":
    cli.run(main)
