"""Everything tied to a table, a path, a seed sweep or a picture: thin mains over `vae_topk_jax`."""
