"""Does a sparse latent keep known factors apart?"""
