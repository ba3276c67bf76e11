"""Results files joined."""

from experiments.merge import merge
from experiments.records.rows import ResultsFile, Row, read_results, write_results


def test_merging_joins_seeds_and_keeps_the_pictures_of_the_first(tmp_path):
    def row(seed: int) -> Row:
        return Row(
            experiment="table1",
            variant="averaged KL",
            model="beta-VAE",
            config={"seed": seed},
            seed=seed,
            data={"source": "s", "train": 1, "test": 1},
            metrics={"psnr": float(seed)},
            seconds=1.0,
            pictures={"originals": {}},
        )

    for name, seeds in (("a", (3, 4)), ("b", (0, 3))):
        ResultsFile(tmp_path / name).merge([row(seed) for seed in seeds])
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    merged = {row.seed: row for row in read_results(tmp_path / "c").rows}
    assert sorted(merged) == [0, 3, 4]
    assert merged[0].pictures is not None
    assert merged[3].pictures is None


def test_what_differs_between_the_machines_is_recorded_once(tmp_path):
    for name, environment in [
        ("a", {"cpu": "one", "jax": "0.12"}),
        ("b", {"cpu": "two", "jax": "0.12", "earlier": [{"jax": "0.11"}, {"cpu": "one"}]}),
        ("c", {"cpu": "two", "jax": "0.12"}),
    ]:
        write_results(tmp_path / name, [], environment)
    merge([tmp_path / name for name in "abc"], tmp_path / "d")
    assert read_results(tmp_path / "d").environment == {
        "cpu": "one",
        "jax": "0.12",
        "earlier": [{"jax": "0.11"}, {"cpu": "two"}],
    }
