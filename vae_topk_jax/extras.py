"""Optional dependencies: how to install them."""


def install_advice(extra: str) -> str:
    """The commands that install an extra, where the package is installed and in a clone.

    Args:
        extra: its name in `pyproject.toml`.

    Examples:
        >>> install_advice("serve")
        "pip install 'vae_topk_jax[serve]' or, in a clone, pip install -e '.[serve]'"
    """
    return f"pip install 'vae_topk_jax[{extra}]' or, in a clone, pip install -e '.[{extra}]'"
