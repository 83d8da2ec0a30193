"""The tables on pools, other targets and augmentations: their protocols keep rows apart."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from makedo.core.tables import Pair
from makedo.methods.diva.reproduce import (
    augmentation,
    extend,
    other_targets,
    pool_without_labels,
    pools,
)


def as_set(X):
    return {row.tobytes() for row in np.ascontiguousarray(X)}


def test_no_row_is_in_two_parts_and_the_share_of_wrong_labels_is_as_said():
    clean, dirty = (pools.problem("digits", share, 0) for share in (0.0, 0.4))
    parts = [as_set(X) for X in (clean.core_X, clean.valid_X, clean.pool_X, clean.test_X)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 1797
    assert [len(p) for p in parts[:3]] == [60, 100, 840]
    assert (clean.given != dirty.given).mean() == pytest.approx(0.4, abs=0.001)
    np.testing.assert_array_equal(clean.pool_X, dirty.pool_X)
    other = pools.problem("digits", 0.0, 1)
    assert len(as_set(other.core_X) & parts[0]) == 0  # other rows, through other features


@pytest.mark.parametrize(
    "choose",
    [extend.uniform, partial(extend.uncertain, extend.margins), partial(extend.diva, {}, True)],
    ids=["uniform", "margin", "diva"],
)
def test_choices_are_different_rows_within_the_budget(choose):
    found = pools.problem("digits", 0.0, 0)
    chosen = choose(found, 40, 80, 0)
    assert len(chosen) == len(set(chosen.tolist())) == 80
    assert found.error(chosen) < found.error(chosen[:0])


def test_labels_that_are_not_chosen_are_not_looked_at_without_labels():
    found = pools.problem("digits", 0.0, 0)
    chosen, left = np.arange(20), np.arange(20, 840)
    hidden = found.given.copy()
    hidden[20:] = 0
    blind = pools.PoolProblem(**{**vars(found), "given": hidden})
    uses = pool_without_labels.USES.values()
    asks = [pool_without_labels.uniform, partial(pool_without_labels.diva, True)]
    asks += [partial(pool_without_labels.by_outputs, extend.certainty)]
    asks += [partial(pool_without_labels.by_slopes, use, False) for use in uses]
    for ask in asks:
        asked = ask(found, chosen, left, 10)
        assert len(set(asked.tolist())) == 10 and asked.min() >= 20
        np.testing.assert_array_equal(asked, ask(blind, chosen, left, 10))


def test_targets_are_handed_on_within_the_pool():
    Y = np.arange(50.0)
    out, broken = other_targets.mixed(Y, 0.4, np.random.default_rng(0))
    assert broken.sum() == 20 and (out != Y).sum() == 20 and sorted(out) == sorted(Y)
    t = other_targets.problem("diabetes", 0.0, 0)
    parts = [as_set(X) for X in t.X]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 442


def test_every_copy_stands_beside_its_original():
    d = augmentation.problem("digits", 0)
    originals = d.augmentation == "original"
    assert originals.sum() == 300 and len(d.X) == 10 * 300
    for name in augmentation.AUGMENTATIONS:
        there = d.augmentation == name
        np.testing.assert_array_equal(d.y[there], d.y[originals])
        np.testing.assert_array_equal(d.source[there], d.source[originals])
        assert not np.allclose(d.X[there], d.X[originals])
    assert len(as_set(d.test_X) & as_set(d.X)) == 0


@pytest.mark.parametrize(
    "module, data",
    [
        (extend, "digits"),
        (pool_without_labels, "digits"),
        (other_targets, "diabetes"),
        (augmentation, "digits"),
    ],
)
def test_tables_have_rows_and_differences_of_them(module, data):
    made = module.rows(data, range(2))
    places = [(row.table, row.row) for row in made]
    assert len(set(places)) == len(places)
    names = {row.row for row in made if not isinstance(row, Pair)}
    pairs = [row for row in made if isinstance(row, Pair)]
    assert pairs and all({pair.ours, pair.reference} <= names for pair in pairs)


def test_a_small_table_can_be_measured():
    arm = extend.Arm(extend.uniform, with_valid=True)
    found = extend.run("digits", arm, 0)
    assert list(found.groups) == [f"{p}, {n}" for p in pools.SHARES for n in (100, 200, 300)]
    assert all(0 < error < 0.5 for error in found.groups.values())
    score = other_targets.run("diabetes", (other_targets.uniform, False), 0)
    assert 0.2 < score.groups["true targets"] < 0.7
