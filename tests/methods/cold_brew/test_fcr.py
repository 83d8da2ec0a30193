"""The feature contribution ratio: printed figures, corners, the bootstrap by hand, extremes."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.degrees import homophily
from makedo.data.graph import Graph
from makedo.methods.cold_brew import FCR, feature_contribution_ratio
from makedo.methods.cold_brew.fcr import fcr_of_scores, measured_fcr
from makedo.methods.cold_brew.reproduce.fcr import PRINTED, paper

# --- the formula ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRINTED)
def test_the_rows_that_the_paper_prints_are_reproduced(name):
    column = PRINTED[name]
    assert fcr_of_scores(column.gnn, column.mlp, column.lp) == pytest.approx(column.fcr, abs=0.02)


def test_the_correlation_with_homophily_is_the_paper_s_and_weaker_in_the_right_columns():
    def correlation(columns):
        ratios = [fcr_of_scores(one.gnn, one.mlp, one.lp) for one in columns]
        return np.corrcoef(ratios, [one.homophily for one in columns])[0, 1]

    assert correlation(PRINTED.values()) == pytest.approx(-0.764, abs=5e-4)
    assert correlation([paper(name) for name in PRINTED]) == pytest.approx(-0.719, abs=5e-4)
    assert paper("twitch_de") is None


@pytest.mark.parametrize(
    ("scores", "ratio"),
    [
        ((0.8, 0.6, 0.8), 0),  # label propagation alone is as good as the graph network
        ((0.8, 0.8, 0.6), 100),  # the features alone are
        ((0.8, 0.6, 0.6), 50),
        ((0.6, 0.8, 0.6), 200),
        ((0.6, 0.8, 0.4), 150),
        ((0.6, 0.8, 0.8), 150),  # both beat it
        ((0.6, 0.5, 0.9), 0),  # the formula has 1.5 here
        ((0.6, 0.5, 0.7), 0),  # and a division by zero here
        ((0.6, 0.6, 0.7), 0),
    ],
)
def test_corners_of_the_ratio(scores, ratio):
    assert fcr_of_scores(*scores) == pytest.approx(ratio)


def test_the_ratio_of_three_equal_scores_is_not_defined():
    assert math.isnan(fcr_of_scores(0.7, 0.7, 0.7))


def test_the_ratio_stays_in_its_range_and_grows_with_the_mlp():
    grid = np.linspace(0, 1, 21)
    for z_gnn, z_lp in itertools.product(grid, grid):
        ratios = np.array([fcr_of_scores(z_gnn, z_mlp, z_lp) for z_mlp in grid])
        known = ~np.isnan(ratios)
        assert ((0 <= ratios[known]) & (ratios[known] <= 200)).all()
        beaten = grid > z_gnn
        assert (ratios[known & beaten] > 100).all() and (ratios[known & ~beaten] <= 100).all()
        if z_lp < z_gnn:
            assert (np.diff(ratios) > 0).all()


# --- the interval --------------------------------------------------------------------------------


def answers(accuracies, n, seed=0):
    """Right or wrong at random, for each of the three: bools (3, n)."""
    return np.random.default_rng(seed).random((3, n)) < np.array(accuracies)[:, None]


def test_the_interval_equals_a_bootstrap_by_hand():
    right = answers((0.8, 0.6, 0.5), 240).astype(float).reshape(3, 3, 80)
    right[:, np.random.default_rng(1).random((3, 80)) < 0.6] = np.nan  # each seed tests 40 %
    found = measured_fcr(*right, np.random.default_rng(5), n_boot=50)
    tested = np.flatnonzero(~np.isnan(right[0]).all(0))
    rng, ratios, scores = np.random.default_rng(5), [], []
    for _ in range(50):
        seeds, nodes = rng.integers(3, size=3), rng.integers(len(tested), size=len(tested))
        rows = [right[:, s, tested[i]] for s in seeds for i in nodes]
        scores.append(np.mean([row for row in rows if not np.isnan(row[0])], axis=0))
        ratios.append(fcr_of_scores(*scores[-1]))
    assert (found.low, found.high) == pytest.approx(tuple(np.nanpercentile(ratios, [2.5, 97.5])))
    ends = np.percentile(scores, [2.5, 97.5], axis=0).T
    for part, both in zip(("gnn", "mlp", "lp"), ends, strict=True):
        assert found.intervals[part] == pytest.approx(tuple(both))
    pooled = np.nanmean(right.reshape(3, -1), axis=1)
    assert (found.z_gnn, found.z_mlp, found.z_lp) == pytest.approx(tuple(pooled))
    assert found.ratio == pytest.approx(fcr_of_scores(*pooled)) and found.n_nodes == len(tested)


def test_twenty_five_times_the_nodes_make_the_interval_five_times_narrower():
    few, many = (
        measured_fcr(*answers((0.8, 0.7, 0.5), n), np.random.default_rng(0), n_boot=400)
        for n in (4_000, 100_000)
    )
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(5, rel=0.25)


def test_repeating_the_same_answers_with_more_seeds_does_not_pretend_to_know_more():
    right = answers((0.8, 0.7, 0.5), 300).astype(float)
    one = measured_fcr(*right, np.random.default_rng(0))
    five = measured_fcr(*np.repeat(right[:, None], 5, axis=1), np.random.default_rng(1))
    assert five.ratio == pytest.approx(one.ratio) and five.n_nodes == one.n_nodes == 300
    assert five.high - five.low == pytest.approx(one.high - one.low, rel=0.15)


def test_seeds_that_disagree_widen_the_interval():
    rng = np.random.default_rng(0)
    steady = (rng.random((3, 4, 400)) < np.array([0.8, 0.7, 0.5])[:, None, None]).astype(float)
    shaken = steady.copy()
    shaken[0, :2] = rng.random((2, 400)) < 0.95
    shaken[0, 2:] = rng.random((2, 400)) < 0.65
    widths = [
        found.high - found.low
        for found in (measured_fcr(*one, np.random.default_rng(2)) for one in (steady, shaken))
    ]
    assert widths[1] > 2 * widths[0]


def test_where_all_are_equally_good_the_ratio_is_nan_with_a_warning():
    same = np.tile(np.arange(20) < 15, (3, 1))
    with pytest.warns(MakedoWarning, match="equally good"):
        found = measured_fcr(*same, np.random.default_rng(0), n_boot=20)
    assert math.isnan(found.ratio) and math.isnan(found.low) and math.isnan(found.high)
    assert "not defined" in found.reading


# --- in words ------------------------------------------------------------------------------------


def made(low, high, lp_beats_gnn=False):
    return FCR((low + high) / 2, low, high, 0.8, 0.7, 0.6, lp_beats_gnn, 100)


@pytest.mark.parametrize(
    ("ends", "words", "side"),
    [
        ((10, 40), "graph carries most", "below 100 %"),
        ((30, 70), "both carry", "below 100 %"),
        ((60, 90), "features carry most", "below 100 %"),
        ((60, 130), "do not say", "on both sides of 100 %"),
        ((120, 160), "features alone beat", "at or above 100 %"),
    ],
)
def test_the_interval_says_what_can_be_said(ends, words, side):
    assert words in made(*ends).reading and made(*ends).side == side
    assert "tune" not in made(*ends).reading and "tune" in made(*ends, True).reading


def test_the_table_has_a_line_a_figure():
    right = answers((0.8, 0.7, 0.5), 50)
    found = measured_fcr(*right, np.random.default_rng(0), n_boot=100)
    table = found.table().set_index("component")
    assert table.loc["accuracy of MLP on features, %", "value"] == pytest.approx(
        100 * right[1].mean()
    )
    assert table.loc["feature contribution ratio, %", "low"] == found.low
    assert table.loc["test nodes", "value"] == 50


# --- measured ------------------------------------------------------------------------------------


def split_of(n):
    rows = np.random.default_rng(0).permutation(n)
    masks = {"train_mask": rows < 0.4 * n, "valid_mask": rows >= 0.7 * n}
    return masks, ~masks["train_mask"] & ~masks["valid_mask"]


def test_useless_features_leave_the_signal_to_the_graph(make_problem):
    problem = make_problem(240, signal=0.0, n_classes=3, random_state=1)
    found = feature_contribution_ratio(problem.X, problem.y, graph=problem.graph, budget=1)
    assert found.z_mlp < 0.55 and found.z_lp > 0.8  # chance is 1/3
    assert found.ratio <= found.high < 50
    assert found.reading.startswith("The graph carries most of the signal")


def test_features_that_name_the_class_beat_a_graph_that_says_little(make_problem):
    problem = make_problem(240, n_classes=3, random_state=1, inside=0.04, outside=0.03)
    X = np.eye(3)[problem.y] + 0.1 * np.random.default_rng(0).normal(size=(240, 3))
    found = feature_contribution_ratio(X, problem.y, graph=problem.graph, budget=1)
    assert found.z_mlp > 0.95 and found.z_lp < 0.6
    assert 100 <= found.low <= found.ratio
    assert found.reading.startswith("The features alone beat the graph")


@pytest.fixture(scope="module")
def measured(problem):
    masks, test = split_of(90)
    found = feature_contribution_ratio(
        problem.X, problem.y, graph=problem.graph, budget=1, n_boot=50, **masks
    )
    return found, masks, test


def test_test_nodes_are_those_in_no_other_mask(problem, measured):
    found, masks, test = measured
    assert found.n_nodes == test.sum()
    assert found.homophily == homophily(problem.graph, problem.y)
    named = feature_contribution_ratio(
        problem.X, problem.y, graph=problem.graph, budget=1, n_boot=50, **masks, test_mask=test
    )
    assert named == found


def test_masks_of_a_pyg_graph_are_read(problem, measured):
    found, masks, test = measured
    data = SimpleNamespace(
        edge_index=np.stack(problem.graph.to_scipy().nonzero()),
        num_nodes=90,
        train_mask=masks["train_mask"],
        val_mask=masks["valid_mask"],
        test_mask=test,
    )
    assert (
        feature_contribution_ratio(problem.X, problem.y, graph=data, budget=1, n_boot=50) == found
    )


def test_labels_of_test_nodes_are_scored_and_nothing_else(problem, measured):
    found, masks, test = measured
    swapped = np.where(test, 1 - problem.y, problem.y)  # of two classes: right is wrong
    other = feature_contribution_ratio(
        problem.X, swapped, graph=problem.graph, budget=1, n_boot=50, **masks
    )
    assert other.settings == found.settings
    assert (other.z_gnn, other.z_mlp, other.z_lp) == pytest.approx(
        (1 - found.z_gnn, 1 - found.z_mlp, 1 - found.z_lp)
    )


def test_rows_are_joined_with_the_graph_by_id(problem, measured):
    found, masks, _ = measured
    order = np.random.default_rng(3).permutation(90)
    again = feature_contribution_ratio(
        problem.frame.iloc[order],
        problem.y[order],
        graph=problem.named_graph,
        budget=1,
        n_boot=50,
        **{name: mask[order] for name, mask in masks.items()},
    )
    assert again.z_lp == found.z_lp and again.homophily == pytest.approx(found.homophily)
    assert again.settings["label propagation"] == found.settings["label propagation"]


def test_without_masks_a_quarter_of_the_labelled_nodes_is_held_back(make_problem):
    problem = make_problem(90, signal=0.2, outside=0.04)
    y = np.where(np.arange(90) < 10, -1, problem.y)  # 80 labelled
    once, twice, other = (
        feature_contribution_ratio(
            problem.X, y, graph=problem.graph, budget=1, n_boot=50, random_state=s
        )
        for s in (0, 0, 1)
    )
    assert once == twice != other and once.n_nodes == 20


MASK = np.arange(90) < 40
REFUSED = {
    "overlap": ({"train_mask": MASK, "test_mask": MASK}, "40 nodes in train_mask and test_mask"),
    "valid overlap": ({"valid_mask": MASK, "test_mask": MASK}, "in valid_mask and test_mask"),
    "few": ({"test_mask": np.arange(90) < 9}, "9 labelled test nodes; at least 10"),
    "no validation": ({"valid_mask": np.zeros(90, bool)}, "no labelled validation node"),
    "mask": ({"test_mask": np.arange(90)}, "test_mask must hold 90 bools"),
    "no edges": (
        {"graph": Graph.from_edges(np.empty((2, 0), int), n_nodes=90)},
        "no node of the graph has an edge",
    ),
    "other size": ({"graph": np.array([[0], [1]])}, "has 2 nodes and X 90 rows"),
    "ids": ({"node_id": range(3)}, "node_id has 3 ids, X has 90 rows"),
    "one class": ({"y": np.zeros(90)}, "two classes are needed"),
    "n_boot": ({"n_boot": 0}, "n_boot must be 1 or more"),
    "budget": ({"budget": 0}, "budget must be 1 or more"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_measured_is_refused(problem, case):
    changes, words = REFUSED[case]
    arguments = {"y": problem.y, "graph": problem.graph} | changes
    with pytest.raises(MakedoInputError, match=words) as caught:
        feature_contribution_ratio(pd.DataFrame(problem.X), **arguments)
    assert str(caught.value).startswith(("feature_contribution_ratio", "graph"))
