"""How much a bench measures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """The sizes at which everything is measured.

    Attributes:
        rounds: turns of each contestant of ours.
        peer_rounds: turns of those of other libraries, or so many as there are of ours.
        turn: seconds that a turn lasts at least, where short calls may be repeated.
        images, conv_images: training images of an epoch, MLP and convolutional.
        mlp_widths, conv_widths: of the bodies.
        square: rows and columns of the large matrix product.
        copied: floats of the array that is copied.
        bottlenecks: (B, D) of the bottleneck alone.
        searches: (B, D) of the search for the n-th largest number alone, on accelerators.
        decoders: (B, D, F, k): k of D latents an input decoded to F values.
        dictionaries: (B, F, D, k) of a dictionary of D directions of F values.
        batches: images in one call of a trained model.
        loads: (clients, requests of each, images per request) of a served model.
        pictures: files in a folder of pictures.
        growth_images: training images of an epoch in the growth curves.
        batch_sizes, latent_dims, ks, seeds: the points of the growth curves.
    """

    rounds: int
    peer_rounds: int
    turn: float
    images: int
    conv_images: int
    mlp_widths: tuple[int, ...]
    conv_widths: tuple[int, ...]
    square: int
    copied: int
    bottlenecks: tuple[tuple[int, int], ...]
    searches: tuple[tuple[int, int], ...]
    decoders: tuple[tuple[int, int, int, int], ...]
    dictionaries: tuple[tuple[int, int, int, int], ...]
    batches: tuple[int, ...]
    loads: tuple[tuple[int, int, int], ...]
    pictures: int
    growth_images: int
    batch_sizes: tuple[int, ...]
    latent_dims: tuple[int, ...]
    ks: tuple[int, ...]
    seeds: tuple[int, ...]


PRESETS = {
    "tiny": Sizes(
        rounds=1,
        peer_rounds=1,
        turn=0.0,
        images=256,
        conv_images=128,
        mlp_widths=(32,),
        conv_widths=(2, 2),
        square=64,
        copied=1 << 10,
        bottlenecks=((128, 64),),
        searches=((128, 64),),
        decoders=((4, 32, 16, 2),),
        dictionaries=((8, 16, 32, 2),),
        batches=(1, 4),
        loads=((2, 1, 1),),
        pictures=20,
        growth_images=256,
        batch_sizes=(128,),
        latent_dims=(64,),
        ks=(8,),
        seeds=(2,),
    ),
    "full": Sizes(
        rounds=15,
        peer_rounds=5,
        turn=0.2,
        images=60_000,
        conv_images=12_800,
        mlp_widths=(512, 256),
        conv_widths=(32, 64),
        square=4096,
        copied=1 << 26,
        bottlenecks=((128, 64), (1024, 1024), (8192, 4096), (65536, 4096), (65536, 16384)),
        searches=((128, 64), (1024, 64), (1024, 1024), (4096, 1024), (4096, 4096), (65536, 4096)),
        decoders=((256, 4096, 768, 32), (256, 16384, 768, 32), (256, 65536, 768, 32)),
        dictionaries=((512, 768, 4096, 32), (8192, 4096, 65536, 64)),
        batches=(1, 1024),
        loads=((1, 200, 1), (8, 50, 1), (8, 50, 16)),
        pictures=10_000,
        growth_images=8192,
        batch_sizes=(32, 128, 512, 2048, 8192),
        latent_dims=(16, 64, 256, 1024, 4096),
        ks=(1, 4, 16, 64),
        seeds=(1, 2, 4, 8),
    ),
}
