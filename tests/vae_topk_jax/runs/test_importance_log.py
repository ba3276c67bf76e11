"""The history of the importance."""

import numpy as np

from vae_topk_jax.runs.importance_log import ImportanceLog, read_importance


def test_a_resumed_run_keeps_the_history_of_one_that_never_stopped(tmp_path):
    importance_SxD = np.arange(600.0).reshape(300, 2)
    ImportanceLog(tmp_path / "whole", 300).write(300, importance_SxD)
    ImportanceLog(tmp_path / "parts", 300).write(40, importance_SxD[:40])
    for part in (importance_SxD[35:70], importance_SxD[70:]):
        start = int(part[0, 0] / 2)
        log = ImportanceLog(tmp_path / "parts", 300, resume_step=start)
        log.write(start + len(part), part)
    whole = read_importance(tmp_path / "whole")
    assert whole == read_importance(tmp_path / "parts")
    assert whole["step"] == list(range(3, 301, 3))
