"""A flow from noise to sparse codes, trained by flow matching."""

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.priors.analog_bits import AnalogBits
from vae_topk_jax.priors.optimise import minimise
from vae_topk_jax.priors.prior import Examples, Prior, choose, seed_of
from vae_topk_jax.priors.residual import blocks_in, residual_blocks

STEPS = 20  # of the solver
_FREQUENCIES = 32  # of the embedding of time
_HIGHEST = 100.0
_LEAST_VARIANCE = 1e-4
_PER_CLUSTER = 20  # examples, at least
_TIME_LOGIT = 0.5  # of the median time in training


class Gaussian(NamedTuple):
    """The principal axes of the examples: where a flow would be linear, were they Gaussian.

    Attributes:
        mean_R: their mean.
        axes_RxR: eigenvectors of their covariance, in columns.
        variance_R: eigenvalues, 1e-4 at least.
    """

    mean_R: Array
    axes_RxR: Array
    variance_R: Array

    @classmethod
    def of(cls, x_NxR: np.ndarray) -> Self:
        """That of some examples."""
        x_NxR = np.asarray(x_NxR, np.float64)
        variance_R, axes_RxR = np.linalg.eigh(
            np.cov(x_NxR, rowvar=False, ddof=0).reshape(2 * x_NxR.shape[1:])
        )
        arrays = (x_NxR.mean(axis=0), axes_RxR, np.maximum(variance_R, _LEAST_VARIANCE))
        return cls(*(jnp.asarray(x, jnp.float32) for x in arrays))

    def along(self, x_NxR: np.ndarray) -> np.ndarray:
        """y_NxR, the examples along the axes."""
        return (x_NxR - np.asarray(self.mean_R)) @ np.asarray(self.axes_RxR)

    def back(self, y_NxR: Array) -> Array:
        """The inverse of `along`."""
        return self.mean_R[None] + y_NxR @ self.axes_RxR.T


class Velocity(nn.Module):
    """v(y, t, c) along the principal axes: that of a Gaussian, and what a residual network adds.

        s^2 = t^2 var + (1 - t)^2
        v(y, t, c) = (t var - (1 - t)) / s^2 * y + std / s * network(y / s, t, c)

    Attributes:
        width: of the network.
        blocks: of the network, see `residual_blocks`.
        clusters: how many values c, the cluster, has.
    """

    width: int
    blocks: int
    clusters: int

    @nn.compact
    def __call__(self, y_BxR: Array, t_B: Array, cluster_B: Array, variance_R: Array) -> Array:
        t_Bx1 = t_B[:, None]
        var_1xR = variance_R[None]
        square_BxR = jnp.square(t_Bx1) * var_1xR + jnp.square(1.0 - t_Bx1)
        h_BxF = nn.Dense(self.width)(y_BxR / jnp.sqrt(square_BxR))
        h_BxF += nn.Dense(self.width)(sinusoids(t_B))
        h_BxF += nn.Embed(self.clusters, self.width)(cluster_B)
        h_BxF = residual_blocks(h_BxF, self.blocks)
        last = nn.Dense(y_BxR.shape[1], kernel_init=nn.initializers.zeros)
        gaussian_BxR = (t_Bx1 * var_1xR - (1.0 - t_Bx1)) / square_BxR * y_BxR
        return gaussian_BxR + jnp.sqrt(var_1xR / square_BxR) * last(h_BxF)


def sinusoids(t_B: Array) -> Array:
    """(B, 64) cosines and sines of times in [0, 1], of geometric frequencies."""
    frequency_F = jnp.geomspace(1.0, _HIGHEST, _FREQUENCIES, dtype=jnp.float32)
    angle_BxF = t_B[:, None] * frequency_F[None]
    return jnp.concatenate([jnp.cos(angle_BxF), jnp.sin(angle_BxF)], axis=1)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Flow(Prior):
    """A flow-matching model of the latents before the mask, or of codes where there are no others.

        y_t = (1 - t) y_0 + t y_1,    y_0 ~ N(0, I),    y_1 = the latents of an image
        loss = E |v(y_t, t, c) - (y_1 - y_0)|^2,    logit t ~ N(1/2, 1),    c = the cluster of y_1

    Clusters are those of k-means in each class. One of the class is drawn as often as it has
    examples; noise at t = 0 follows dy/dt = v(y, t, c) to t = 1, by
    Heun's method, and what it becomes goes through the mask of the model (`Inference.sparsify`),
    which makes exact zeros. Codes have a gap around 0, which a flow blurs; their latents before the
    mask have none. Where the latents have zeros of their own, as by slot, the flow has a bit for
    each (`AnalogBits`) and draws support and values together.

    The velocity is that of a Gaussian with the mean and the covariance of the latents, and what a
    network adds: before training, what is drawn has these two moments.

    Attributes:
        bits: the representation of latents.
        gaussian: its principal axes.
        share_YxC: the share of examples in each class and cluster.
        params: of `Velocity`.

    References:
        Lipman et al., "Flow Matching for Generative Modeling", ICLR 2023 (the conditional optimal
        transport path); Liu, Gong & Liu, "Flow Straight and Fast", ICLR 2023. Karras et al.,
        "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS 2022
        (the scales of a network's input and output). Hu et al., "Self-Guided Diffusion Models",
        CVPR 2023 (clusters as the condition). Esser et al., "Scaling Rectified Flow Transformers
        for High-Resolution Image Synthesis", ICML 2024 (the distribution of times).
    """

    before_mask: ClassVar[bool] = True

    bits: AnalogBits
    gaussian: Gaussian
    share_YxC: Array
    params: Mapping[str, Any]

    def shares(self) -> Array:
        """share_Y."""
        return jnp.sum(self.share_YxC, axis=1)

    @classmethod
    def fit(
        cls,
        examples: Examples,
        key: Array,
        *,
        clusters: int = 50,
        width: int = 256,
        blocks: int = 3,
        steps: int = 60_000,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
    ) -> Self:
        """The flow to the latents.

        Args:
            examples: the latents.
            key: of clusters, initial weights, batches, times and noise.
            clusters: how many at most, but one of each class at least; those of a class have 20
                examples on average, or more.
            width, blocks: of the network, see `Velocity`.
            steps, batch_size, learning_rate: of training.

        Raises:
            ValueError: codes that are all zero.
        """
        bits = AnalogBits.of(examples.latents_NxD)
        x_NxR = bits.encode(examples.latents_NxD)
        gaussian = Gaussian.of(x_NxR)
        y_NxR = gaussian.along(x_NxR).astype(np.float32)
        cluster_N, share_YxC = _clustered(y_NxR, examples.class_N, clusters, seed_of(key))
        network = Velocity(width, blocks, share_YxC.shape[1])
        init_key, train_key = jax.random.split(key)
        row_1xR = jnp.zeros((1, bits.size), jnp.float32)
        first = network.init(
            init_key, row_1xR, row_1xR[:, 0], jnp.zeros(1, jnp.int32), gaussian.variance_R
        )

        def loss(params: Any, batch: tuple[Array, Array], key: Array) -> Array:
            y_BxR, cluster_B = batch
            noise_key, time_key = jax.random.split(key)
            noise_BxR = jax.random.normal(noise_key, y_BxR.shape, jnp.float32)
            t_B = _spread_times(time_key, len(y_BxR))
            between_BxR = (1.0 - t_B[:, None]) * noise_BxR + t_B[:, None] * y_BxR
            velocity = network.apply(params, between_BxR, t_B, cluster_B, gaussian.variance_R)
            return jnp.mean(jnp.square(jnp.asarray(velocity) - (y_BxR - noise_BxR)))

        params = minimise(
            loss,
            first,
            (y_NxR, cluster_N),
            train_key,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
        )
        return cls(bits, gaussian, jnp.asarray(share_YxC, jnp.float32), params)

    def sample(self, key: Array, class_N: Array) -> Array:
        """Latents from noise."""
        noise_key, cluster_key = jax.random.split(key)
        y_NxR = jax.random.normal(noise_key, (len(class_N), self.bits.size), jnp.float32)
        cluster_N = choose(cluster_key, self.share_YxC, class_N)
        network, step = self._network(), 1.0 / STEPS

        def velocity(y_NxR: Array, t: Array) -> Array:
            t_N, variance_R = jnp.broadcast_to(t, class_N.shape), self.gaussian.variance_R
            return jnp.asarray(network.apply(self.params, y_NxR, t_N, cluster_N, variance_R))

        def heun(number: Array, y_NxR: Array) -> Array:
            t = number.astype(jnp.float32) * step
            first_NxR = velocity(y_NxR, t)
            second_NxR = velocity(y_NxR + step * first_NxR, t + step)
            return y_NxR + 0.5 * step * (first_NxR + second_NxR)

        y_NxR = jax.lax.fori_loop(jnp.int32(0), jnp.int32(STEPS), heun, y_NxR)
        return self.bits.decode(self.gaussian.back(y_NxR))

    def _network(self) -> Velocity:
        """The network whose parameters these are."""
        params = self.params["params"]
        width = params["Dense_0"]["kernel"].shape[1]
        return Velocity(width, blocks_in(params), self.share_YxC.shape[1])


def _clustered(
    y_NxR: np.ndarray, class_N: np.ndarray, clusters: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """cluster_N of k-means in each class, int32, and the share_YxC of classes and clusters."""
    from scipy.linalg import block_diag
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    cluster_N, count_Y = np.empty(len(class_N), np.int32), np.bincount(class_N)
    shares: list[np.ndarray] = []
    for number, count in enumerate(count_Y.tolist()):
        own = max(1, min(clusters // len(count_Y), count // _PER_CLUSTER))
        kmeans = MiniBatchKMeans(own, n_init=3, batch_size=4096, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct ones than clusters
            found = kmeans.fit_predict(y_NxR[class_N == number])
        cluster_N[class_N == number] = found + sum(map(len, shares))
        shares.append(np.bincount(found, minlength=own) / len(class_N))
    return cluster_N, block_diag(*shares)


def _spread_times(key: Array, n: int) -> Array:
    """n times in (0, 1) whose logits are normal, evenly spread over a batch."""
    even_N = jnp.linspace(0.0, 1.0, n, endpoint=False, dtype=jnp.float32)
    even_N = (even_N + jax.random.uniform(key, (), jnp.float32)) % 1.0
    normal_N = jax.scipy.special.ndtri(jnp.clip(even_N, 1e-4, 1.0 - 1e-4))
    return jax.nn.sigmoid(_TIME_LOGIT + normal_N)
