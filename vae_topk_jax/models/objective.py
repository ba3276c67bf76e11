"""What a VAE is trained for: the settings of its objective, and the terms of each."""

import dataclasses
import math
from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
import optax
from annotated_types import Ge, Le
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.fields import OneOf
from vae_topk_jax.importance import batch_mean
from vae_topk_jax.losses import batch_average
from vae_topk_jax.models.conditional import Conditional
from vae_topk_jax.objectives import (
    KERNELS,
    OBJECTIVES,
    SETTINGS,
    doubly_reparameterized,
    importance_weighted_bound,
    log_prior_ratio,
    mmd,
)
from vae_topk_jax.refinement import Objective
from vae_topk_jax.selection import apply_mask


class WithObjective(Conditional):
    """A generator whose codes have a normal posterior, and a choice of what it is trained for.

    With P values of an input, D latents and sums over both, beta as far as it has risen,

        elbo      reconstruction + beta KL
        info_vae  reconstruction + beta ((1 - alpha) KL + (alpha + lambda - 1) MMD)
        wae       reconstruction + beta lambda MMD
        rae       reconstruction + beta |mu|^2 / 2 + decoder_l2 |theta|^2 + decoder_gradient |J|^2
        iwae      -log 1/S sum_s p(x|z_s) (p(z_s) / q(z_s|x))^beta,    z_s ~ q(z|x)

    with theta the decoder's parameters, J the Jacobian of what it decodes and -log p(x|z) the
    reconstruction term. |J|^2 is estimated with one random sign vector for a batch, and divided by
    P where the reconstruction is a mean; MMD is divided by D where the KL is a mean.

    For `wae` and `rae` the encoder has no variance and adds no noise: z is mu in training as well,
    and what selects latents sees a variance of 1. In a sparse model MMD and |mu|^2 are, as the KL
    is, of all latents, before the mask. Without `train` the losses have no noise: MMD is then to
    the same draws of the prior each time, and `iwae` gives the ELBO's terms.

    References:
        Zhao, Song & Ermon, "InfoVAE", AAAI 2019. Tolstikhin et al., "Wasserstein Auto-Encoders",
        ICLR 2018. Ghosh et al., "From Variational to Deterministic Autoencoders", ICLR 2020.
        Burda, Grosse & Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016. Tucker et al.,
        "Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives", ICLR 2019.
    """

    objective: Annotated[str, OneOf(OBJECTIVES)] = dataclasses.field(default="elbo", kw_only=True)
    """What is minimised: the ELBO's negative; InfoVAE, KL and MMD; WAE, MMD alone; RAE, squared
    norms of the codes and of the decoder; IWAE, the importance-weighted bound's negative (sums, so
    in nats). WAE and RAE have no noise in the latent. A sparse model has IWAE by dimension only."""
    importance_samples: Annotated[int, Ge(1)] = dataclasses.field(default=5, kw_only=True)
    """IWAE: how many draws of the latent each input has; its decoder works that much more."""
    mmd_weight: Annotated[float, Ge(0)] = dataclasses.field(default=10.0, kw_only=True)
    """WAE and InfoVAE: lambda, which beta multiplies, as it does the KL."""
    mmd_kernel: Annotated[str, OneOf(KERNELS)] = dataclasses.field(default="imq", kw_only=True)
    """WAE and InfoVAE: the kernel, inverse multiquadratic (seven widths) or radial basis."""
    info_alpha: Annotated[float, Le(1)] = dataclasses.field(default=0.0, kw_only=True)
    """InfoVAE: alpha, how much the mutual information of inputs and codes counts; 1 leaves the KL
    out."""
    decoder_l2: Annotated[float, Ge(0)] = dataclasses.field(default=1e-6, kw_only=True)
    """RAE: weight of the squared norm of the decoder's parameters."""
    decoder_gradient: Annotated[float, Ge(0)] = dataclasses.field(default=0.0, kw_only=True)
    """RAE: weight of the squared norm of the decoder's Jacobian, which costs a second pass."""

    def check(self) -> None:
        super().check()
        fields = {field.name: field for field in dataclasses.fields(self)}
        for name in sorted(SETTINGS - {"objective", *OBJECTIVES[self.objective].settings}):
            if (value := getattr(self, name)) != fields[name].default:
                of = [own for own, objective in OBJECTIVES.items() if name in objective.settings]
                raise ValueError(
                    f"{name} is of objective {' and '.join(map(repr, of))}, got {value!r} with "
                    f"{self.objective!r}"
                )
        if self.objective == "info_vae" and self.info_alpha + self.mmd_weight < 1:
            raise ValueError(
                f"mmd_weight must be at least 1 - info_alpha, {1 - self.info_alpha:g}, "
                f"got {self.mmd_weight}"
            )
        if self.objective == "iwae":
            self._check_nats()

    def _check_nats(self) -> None:
        for name in ("pixel_reduction", "latent_reduction"):
            if (value := getattr(self, name)) != "sum":
                raise ValueError(f"{name} must be 'sum' with objective 'iwae', got {value!r}")
        if self.structural:
            raise ValueError(f"structural must be 0 with objective 'iwae', got {self.structural}")

    @property
    def has_noise(self) -> bool:
        """Whether the encoder gives a variance beside the mean."""
        return OBJECTIVES[self.objective].has_noise

    def refinement_objective(self) -> Objective:
        """See `Generator.refinement_objective`; MMD is of a batch, and so no part of it."""
        found = super().refinement_objective()
        share = {"wae": 0.0, "info_vae": 1.0 - self.info_alpha}.get(self.objective, 1.0)
        return dataclasses.replace(found, precision_D=share * found.precision_D)

    def _with_objective(
        self,
        terms: dict[str, Array],
        z_BxD: Array,
        code_BxD: Array,
        valid_B: Array | None,
        progress: ArrayLike,
        train: bool,
        label_B: Array | None,
    ) -> dict[str, Array]:
        """The ELBO's terms made those of `objective`, if it is one of the others.

        Args:
            terms: "loss", "reconstruction" and "kl", which is |mu|^2 / 2 without noise.
            z_BxD, code_BxD: before and after the mask.
            valid_B, progress, train: as in `System.loss`.
            label_B: the classes that the decoder is given.
        """
        if self.objective in ("wae", "info_vae"):
            return self._with_mmd(terms, z_BxD, valid_B, progress, train)
        if self.objective == "rae":
            return self._with_penalty(terms, code_BxD, valid_B, train, label_B)
        return terms

    def _with_mmd(
        self,
        terms: dict[str, Array],
        z_BxD: Array,
        valid_B: Array | None,
        progress: ArrayLike,
        train: bool,
    ) -> dict[str, Array]:
        key = self.make_rng("latent") if train else jax.random.key(0)
        prior_BxD = jax.random.normal(key, z_BxD.shape, jnp.float32)
        discrepancy = mmd(z_BxD, prior_BxD, valid_B, kernel=self.mmd_kernel)
        latents = self.latent_dim if self.latent_reduction == "mean" else 1
        alpha = self.info_alpha if self.objective == "info_vae" else 1.0
        regularizer = (alpha + self.mmd_weight - 1.0) / latents * discrepancy
        if self.objective == "info_vae":
            regularizer += (1.0 - alpha) * terms["kl"]
        else:
            terms = {"reconstruction": terms["reconstruction"]}
        loss = terms["reconstruction"] + self._warmed_up_beta(progress) * regularizer
        return terms | {"loss": loss, "mmd": discrepancy}

    def _with_penalty(
        self,
        terms: dict[str, Array],
        code_BxD: Array,
        valid_B: Array | None,
        train: bool,
        label_B: Array | None,
    ) -> dict[str, Array]:
        _, variables = self.decoder.unbind()
        penalty = self.decoder_l2 * optax.tree.norm(variables["params"], squared=True)
        if self.decoder_gradient:
            key = self.make_rng("latent") if train else jax.random.key(0)
            squared = self._squared_jacobian(code_BxD, key, valid_B, label_B)
            values = math.prod(self.image_shape) if self.pixel_reduction == "mean" else 1
            penalty += self.decoder_gradient / values * squared
        own = {"loss": terms["loss"] + penalty, "reconstruction": terms["reconstruction"]}
        return own | {"squared_norm": 2.0 * terms["kl"], "decoder_penalty": penalty}

    def _squared_jacobian(
        self, z_BxD: Array, key: Array, valid_B: Array | None, label_B: Array | None
    ) -> Array:
        """|J|^2 of the valid examples' mean: E_v |v J|^2 for random signs v."""
        output, pull_back = jax.vjp(self._pure_decoder(label_B), z_BxD)
        (slope_BxD,) = pull_back(jax.random.rademacher(key, output.shape, output.dtype))
        return jnp.sum(batch_mean(jnp.square(slope_BxD), valid_B))

    def _pure_decoder(self, label_B: Array | None) -> Callable[[Array], Array]:
        """The mean of the standardised inputs as a function of codes that jax may transform."""
        decoder, variables = self.decoder.unbind()
        mean = self.rule.mean

        return lambda z_BxD: mean(jnp.asarray(decoder.apply(variables, self.seen(z_BxD, label_B))))

    def _importance_weighted(
        self,
        mu_BxD: Array,
        logvar_BxD: Array,
        kl_B: Array,
        mask_BxD: Array | None,
        target_BxHxWxC: Array,
        valid_B: Array | None,
        progress: ArrayLike,
        label_B: Array | None,
    ) -> dict[str, Array]:
        """The bound's negative as "loss"; "reconstruction", the mean over draws; and "kl".

        Args:
            mask_BxD: one mask for all draws of all examples; None in a dense model.
            label_B: the classes that the decoder is given.
        """
        samples = self.importance_samples
        shape_BxSxD = (len(mu_BxD), samples, self.latent_dim)
        eps_BxSxD = jax.random.normal(self.make_rng("latent"), shape_BxSxD, jnp.float32)
        z_BxSxD = mu_BxD[:, None] + jnp.exp(0.5 * logvar_BxD)[:, None] * eps_BxSxD
        beta = self._warmed_up_beta(progress)
        target_NxHxWxC = jnp.repeat(target_BxHxWxC, samples, axis=0)
        label_N = None if label_B is None else jnp.repeat(label_B, samples, axis=0)
        posterior = jax.lax.stop_gradient((mu_BxD, logvar_BxD))

        def log_weights(z_BxSxD: Array) -> Array:
            z_NxD, mask_NxD = z_BxSxD.reshape(-1, self.latent_dim), None
            if mask_BxD is not None:
                mask_NxD = jnp.repeat(mask_BxD, samples, axis=0)
                z_NxD = apply_mask(z_NxD, mask_NxD)
            error_N = self._reconstruction(self.seen(z_NxD, label_N, mask_NxD), target_NxHxWxC)
            ratio_BxS = log_prior_ratio(z_BxSxD, *posterior)
            return jnp.multiply(beta, ratio_BxS) - error_N.reshape(-1, samples)

        log_w_BxS = doubly_reparameterized(log_weights, z_BxSxD, beta)
        error_BxS = beta * log_prior_ratio(z_BxSxD, *posterior) - log_w_BxS
        return {
            "loss": batch_average(-importance_weighted_bound(log_w_BxS), valid_B),
            "reconstruction": batch_average(jnp.mean(error_BxS, axis=1), valid_B),
            "kl": batch_average(kl_B, valid_B),
        }
