"""The comparison of the bounds trains both models alike."""

from experiments.iwae import DRAWS, rows
from experiments.study.study import Study


def test_the_rows_differ_in_the_objective_alone(study: Study):
    elbo, iwae = (planned.config for planned in rows(study))
    differing = {name for name in elbo if elbo[name] != iwae[name]}
    assert differing == {"objective", "importance_samples"}
    assert (iwae["objective"], iwae["importance_samples"]) == ("iwae", DRAWS)
