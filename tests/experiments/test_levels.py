"""The experiment of levels: as many active latents in a ladder as in a flat model."""

from experiments import levels


def test_both_models_have_as_many_latents_and_as_many_active(study):
    planned = {row.place.model: row for row in levels.rows(study)}
    flat, ladder = (planned[title].config for title in levels.MODELS)
    assert sum(ladder["levels"]) == ladder["latent_dim"] == flat["latent_dim"]
    assert sum(ladder["level_k"]) == flat["k"] == levels.K
    assert flat["selection"] == ladder["selection"] == "element"
    assert flat["widths"] == ladder["widths"]
    assert [row.place.model for row in levels.rows(study, only="ladder")] == [levels.LADDER]
