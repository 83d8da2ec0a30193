"""Draws belong to a seed, and are what they claim to be."""

import numpy as np
from scipy import stats

from makedo.methods.trajectory.draws import lattice, normal, spread_normal, uniform

SEEDS = np.arange(4000, dtype=np.uint64)


def test_a_row_gets_its_draws_wherever_it_stands():
    for draw in (uniform, normal):
        together = draw(SEEDS, 5, 2)
        assert np.array_equal(together[7], draw(SEEDS[7:8], 5, 2)[0])
        assert np.array_equal(draw(SEEDS[[3, 3]], 5)[0], draw(SEEDS[[3, 3]], 5)[1])
    assert np.array_equal(spread_normal(SEEDS, 20)[9], spread_normal(SEEDS[9:10], 20)[0])


def test_uniform_numbers_are_uniform_and_independent():
    found = uniform(SEEDS, 6)
    assert found.min() > 0 and found.max() < 1
    for column in found.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-4
    correlation = np.corrcoef(found.T)[np.triu_indices(6, 1)]
    assert np.abs(correlation).max() < 4 / np.sqrt(len(SEEDS))
    neighbours = np.corrcoef(found[:-1, 0], found[1:, 0])[0, 1]  # of seeds next to each other
    assert abs(neighbours) < 4 / np.sqrt(len(SEEDS))
    assert len(np.unique(found)) == found.size


def test_spread_numbers_are_normal_one_by_one_and_fill_the_plane_together():
    found = spread_normal(SEEDS, 20)
    for place in (0, 7, 19):
        for axis in (0, 1):
            assert stats.kstest(found[:, place, axis], "norm").pvalue > 1e-4
    means = found.mean(1)  # of a row: much nearer to 0 than those of independent draws
    assert means.std() < 0.4 * normal(SEEDS, 20, 2).mean(1).std()
    for side in lattice(20).T:
        assert sorted(np.round(side * 20)) == list(range(20))
    nearest = np.linalg.norm(found[:, :, None] - found[:, None], axis=3)
    nearest = np.where(np.eye(20, dtype=bool), np.inf, nearest).min((1, 2))
    loose = normal(SEEDS, 20, 2)
    crowded = np.linalg.norm(loose[:, :, None] - loose[:, None], axis=3)
    crowded = np.where(np.eye(20, dtype=bool), np.inf, crowded).min((1, 2))
    assert np.median(nearest) > 2 * np.median(crowded)
