"""A static site about what a model has learned: a page for every latent."""
