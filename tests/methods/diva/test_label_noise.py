"""The protocols of the tables, and their smallest rows on real data."""

import numpy as np
import pytest

from makedo.core.tables import Pair, Row
from makedo.methods.diva.reproduce import label_noise, noise, reweight


def test_a_fifth_of_the_labels_is_replaced_by_any_other_class():
    y = np.arange(5000) % 10
    given = noise.replaced(y, 0.2, np.random.default_rng(0))
    assert (given != y).sum() == 1000
    moved = np.bincount((given - y)[given != y] % 10, minlength=10)
    assert moved[0] == 0 and moved[1:].min() > 80


def test_a_problem_of_digits_is_drawn_by_its_seed_and_keeps_test_rows_apart():
    found, other = (noise.problem("digits", noise.UNIFORM, seed) for seed in (0, 1))
    assert found.X.shape == (1200, 400) and found.test_X.shape == (597, 400)
    assert found.wrong.mean() == 0.2 and not np.array_equal(found.given, other.given)
    clean = noise.problem("digits", noise.CLEAN, 0)
    np.testing.assert_array_equal(clean.X, found.X)
    np.testing.assert_array_equal(clean.given, found.true)
    np.testing.assert_allclose((found.X**2).mean(), 1)
    both = np.vstack([found.X, found.test_X])
    assert len(np.unique(both.round(9), axis=0)) == len(both)


@pytest.mark.realdata
def test_a_problem_of_pictures_has_300_of_each_class_and_the_labels_that_people_gave():
    from makedo.core.checks import MakedoInputError

    try:
        found = noise.problem("cifar10_subset", "human: worst", 0)
    except MakedoInputError as error:
        pytest.skip(str(error))
    assert (np.bincount(found.true) == 300).all() and 0.35 < found.wrong.mean() < 0.45
    assert found.test_X.shape == (2000, 256)
    clean = noise.problem("cifar10_subset", noise.CLEAN, 0)
    np.testing.assert_array_equal(clean.X, found.X)


def test_rows_are_listed_without_loading_data_and_pairs_name_rows(monkeypatch):
    monkeypatch.setenv("MAKEDO_DATA", "/nowhere")
    for module in (label_noise, reweight):
        for data in ("digits", "cifar10_subset"):
            listed = module.rows(data, range(2))
            there = [(row.table, row.row) for row in listed if isinstance(row, Row)]
            assert len(there) == len(set(there)) and module.TITLE in {table for table, _ in there}
            for pair in (row for row in listed if isinstance(row, Pair)):
                assert {(pair.table, pair.ours), (pair.table, pair.reference)} <= set(there)


def computed(module, title, name, seeds=range(2)):
    rows = module.rows("digits", seeds)
    row = next(r for r in rows if isinstance(r, Row) and (r.table, r.row) == (title, name))
    return {record["group"]: record["ours"] for record in row.compute()}


@pytest.mark.parametrize(
    ("name", "least"),
    [
        (label_noise.MARGIN, 0.98),
        (label_noise.MAE, 0.97),
        (label_noise.SQUARED, 0.96),
        ("ensemble", 0.98),
    ],
)
def test_scores_find_wrong_digits(name, least):
    assert computed(label_noise, label_noise.TITLE, name)[noise.UNIFORM] >= least


def test_the_estimate_marks_wrong_digits_and_next_to_none_of_right_ones():
    found = computed(label_noise, label_noise.TITLE_MARKED, "LOO margin: auto")
    assert found[noise.UNIFORM] > 0.88 and found[noise.CLEAN] < 1
    assert computed(label_noise, label_noise.TITLE_MARKED, "LOO margin: zero")[noise.CLEAN] > 3


def test_putting_labels_right_by_the_true_ones_is_the_best_that_acting_can_do():
    def error(name):
        return computed(label_noise, label_noise.TITLE_ACTED, name)[noise.UNIFORM]

    assert (
        error("wrong labels put right (told)")
        < error("dropped by LOO margin: auto")
        < error("labels as given")
    )
