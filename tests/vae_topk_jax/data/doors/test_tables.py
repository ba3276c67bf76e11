"""Tables whose columns or files have roles by their names."""

import pytest

from tests.helpers.odd_files import all_images
from vae_topk_jax.data import DataError, DataOptions, load_dataset


def test_names_of_tables_and_hub_folders(tmp_path):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (tmp_path / "odd").mkdir()
    for split in ("train", "test", "validation"):
        table = pa.table({"x": [1.0, 2.0], "y": [3, 4], "label": [0, 1]})
        parquet.write_table(table, tmp_path / "odd" / f"{split}-00000-of-00001.parquet")
    said: list[str] = []
    data = load_dataset(tmp_path / "odd", log=said.append)
    assert data.describe()["train"] == data.describe()["test"] == 2
    assert data.train_images.reshape(2, 2).tolist() == [[1.0, 3.0], [2.0, 4.0]]
    assert data.test_labels.tolist() == [0, 1]
    assert any("left out 1 files of other splits: validation" in line for line in said)


def test_a_column_of_lists_is_chosen_by_name(tmp_path):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"a": [[1.0, 2.0]] * 4, "b": [[3.0], [4.0], [5.0], [6.0]], "name": ["x"] * 4}
    parquet.write_table(pa.table(columns), tmp_path / "odd.parquet")
    with pytest.raises(DataError, match=r"odd.parquet: tensor \(--tensor\) must name one .* a, b"):
        load_dataset(tmp_path / "odd.parquet")
    images = all_images(tmp_path / "odd.parquet", tensor="b")
    assert images.ravel().tolist() == [3, 4, 5, 6]
    with pytest.raises(DataError, match=r"no column 'c', only a, b, name"):
        load_dataset(tmp_path / "odd.parquet", DataOptions(tensor="c"))
    ragged = {"a": [[1.0], [2.0, 3.0]]}
    parquet.write_table(pa.table(ragged), tmp_path / "ragged.parquet")
    with pytest.raises(DataError, match=r"ragged.parquet: column a holds lists of several lengths"):
        load_dataset(tmp_path / "ragged.parquet")
