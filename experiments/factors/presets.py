"""How much the study of known factors spends, and on which sprites."""

from typing import Any, NamedTuple

from experiments.study.budget import Budget, Passes


class Preset(NamedTuple):
    """Sprites, and how models of them are trained and measured.

    Attributes:
        data: the sprites.
        test_fraction: how many of them are held out; what is measured is measured on these.
        latent_dim, k: D, and K, the number of factors that vary.
        widths: of the body.
        steps: of a training, at least.
        batch_size: of a step.
        betas: of the beta-VAE's curve.
        few_betas: of the other models.
        weights: `tc_weight` of the beta-TC-VAE and of FactorVAE.
        points: of the scores of FactorVAE and BetaVAE.
        seeds: one model of each row is trained per seed.
    """

    data: str
    test_fraction: float
    latent_dim: int
    k: int
    widths: tuple[int, ...]
    steps: int
    batch_size: int = 64
    betas: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0)
    few_betas: tuple[float, ...] = (0.3, 1.0)
    weights: tuple[float, ...] = (5.0,)
    points: int = 5_000
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)

    @property
    def budget(self) -> Budget:
        """The same for `Study`; no digit classifier is trained."""
        return Budget(self.seeds, Passes(1, self.steps), probe=Passes(1))

    @property
    def shared(self) -> dict[str, Any]:
        """Configuration fields that all models have, as far as their systems do: every term is a
        sum, in nats, and beta is in force from the first step."""
        return {
            "latent_dim": self.latent_dim,
            "k": self.k,
            "widths": self.widths,
            "batch_size": self.batch_size,
            "learning_rate": 3e-4,
            "likelihood": "bernoulli",
            "pixel_reduction": "sum",
            "latent_reduction": "sum",
            "beta_warmup": 0.0,
        }


PRESETS = {
    "tiny": Preset(
        "sprites:side=16,shape=1,colour=2,scale=2,rotation=1,x=4,y=4",
        test_fraction=0.5,
        latent_dim=4,
        k=2,
        widths=(16,),
        steps=4,
        batch_size=16,
        betas=(0.1, 1.0),
        few_betas=(0.1,),
        points=100,
        seeds=(0,),
    ),
    "small": Preset(
        "sprites:side=16,shape=1,colour=1,rotation=1,scale=8,x=24,y=24",
        test_fraction=0.5,
        latent_dim=10,
        k=3,
        widths=(128, 64),
        steps=8_000,
    ),
}
