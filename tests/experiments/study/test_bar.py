"""The bar over the rows of a study."""

import types

import pytest

from experiments.study.bar import TRAINING, RowsBar


@pytest.fixture
def trainer():
    return types.SimpleNamespace(total_steps=4)


def turns(*steps: int):
    return [types.SimpleNamespace(step=step) for step in steps]


def test_the_bar_moves_with_training_and_with_rows_by_their_cost(trainer):
    bar = RowsBar()
    places = []
    with bar.running(cost=3.0):
        with bar.row("row 1 of 2", cost=1.0):
            places += [bar.fraction for _ in bar.training(turns(2, 4), trainer)]
        places.append(bar.fraction)
        with bar.row("row 2 of 2", cost=2.0):
            places += [bar.fraction for _ in bar.training(turns(1), trainer)]
        places.append(bar.fraction)
    expected = [TRAINING / 2, TRAINING, 1, 1 + TRAINING / 2, 3]
    assert [3 * place for place in places] == pytest.approx(expected)


def test_training_outside_a_row_passes_and_shows_nothing(trainer, capsys):
    bar = RowsBar()
    assert len(list(bar.training(turns(1, 4), trainer))) == 2
    assert bar.fraction == 0
    assert capsys.readouterr().out == ""
