"""The checkpoint that must load for ever, and what another program might write into one."""

import json
from pathlib import Path

from vae_topk_jax import manifest

GOLDEN = Path(__file__).parents[1] / "golden" / "run"


def rewrite_about(path, change) -> None:
    """As another program might have written it: with a manifest that fits."""
    about = json.loads((path / "about.json").read_text())
    change(about)
    (path / "about.json").write_text(json.dumps(about))
    manifest.write_manifest(path)
