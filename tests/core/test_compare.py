from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from makedo.core.checks import MakedoInputError
from makedo.core.compare import (
    ACCURACY,
    Candidate,
    Metric,
    Outcome,
    compare,
    compare_rows,
    measure,
    paired_rows,
)
from makedo.core.paired import MOST_BOOTSTRAP_ROWS, bootstrap_interval, difference, t_interval

RMSE = Metric("RMSE", unit="°F", higher_is_better=False, decimals=2)
SEEDS = range(6)


def level(name, value, grid=({},), *, noise=0.02):
    """A candidate whose model is the score function seed -> (valid, test), in shared noise."""

    def make(random_state, shift=0.0):
        own = np.random.default_rng([random_state, *name.encode()]).normal(0, noise)
        shared = np.random.default_rng(random_state).normal(0, 0.05)
        return lambda: (value + shift, value + shift + shared + own)

    return Candidate(name, make, grid)


def run(model, seed):
    valid, test = model()
    return Outcome(valid, {"new": test, "all": test + 0.1}, {"new": 20, "all": 200})


def fixed(scores, valid=None):
    """Candidates and a protocol that read scores off a table: name -> list by seed."""
    names = list(scores)
    candidates = [Candidate(n, lambda random_state, n=n: n) for n in names]

    def read(name, seed):
        value = scores[name][seed]
        if isinstance(value, str):
            raise MakedoInputError(value)
        usual = np.nanmean([score for score in scores[name] if not isinstance(score, str)])
        return Outcome((valid or {}).get(name, usual), {"all": value})

    return candidates, read


def over(scores, ours, reference, *, valid=None, metric=ACCURACY):
    candidates, read = fixed(scores, valid)
    seeds = range(len(next(iter(scores.values()))))
    return compare(candidates, read, seeds=seeds, reference=reference, ours=ours, metric=metric)


# --- equal budget -------------------------------------------------------------------------------


def test_each_configuration_runs_once_on_the_tuning_seed_and_only_the_best_on_the_others():
    seen = []

    def make(random_state, size):
        seen.append((size, random_state))
        return size

    candidate = Candidate("MLP", make, [{"size": s} for s in (1, 2, 3)])
    valid = {1: 0.2, 2: 0.9, 3: 0.5}
    runs = measure(
        candidate, lambda m, s: Outcome(valid[m], {"all": 0.0}), seeds=[4, 0, 7], tuning_seed=0
    )
    assert seen == [(1, 0), (2, 0), (3, 0), (2, 4), (2, 7)]
    assert runs.configuration == {"size": 2}
    assert list(runs.outcomes) == [4, 0, 7]


def test_a_single_configuration_is_not_tuned():
    seen = []
    candidate = Candidate("MLP", lambda random_state: seen.append(random_state))
    measure(candidate, lambda m, s: Outcome(math.nan, {"all": 0.0}), seeds=[3, 5], tuning_seed=0)
    assert seen == [3, 5]


def test_the_configuration_is_chosen_on_validation_even_where_test_says_otherwise():
    candidate = Candidate("m", lambda random_state, k: k, [{"k": 0}, {"k": 1}])
    outcomes = {0: Outcome(0.9, {"all": 0.1}), 1: Outcome(0.8, {"all": 1.0})}
    assert measure(candidate, lambda k, s: outcomes[k], seeds=[0]).configuration == {"k": 0}


def test_the_lowest_validation_score_wins_where_lower_is_better_and_the_first_of_equals():
    candidate = Candidate("m", lambda random_state, k: k, [{"k": k} for k in range(4)])
    valid = [3.0, 1.0, 1.0, math.nan]
    runs = measure(candidate, lambda k, s: Outcome(valid[k], {"all": 0}), seeds=[0], metric=RMSE)
    assert runs.configuration == {"k": 1}


def test_a_grid_beyond_the_budget_is_refused_by_name():
    candidate = level("GCN", 0.5, [{"shift": k / 10} for k in range(9)])
    with pytest.raises(
        MakedoInputError, match="'GCN' has 9 configurations; the equal budget is 1 to 8"
    ):
        measure(candidate, run, seeds=SEEDS)


# --- failures -----------------------------------------------------------------------------------


def test_a_candidate_that_cannot_run_is_a_missing_row_with_its_reason():
    c = over(
        {"LP": ["no edges."] * 3, "MLP": [0.6, 0.7, 0.6], "GNN": [0.8, 0.9, 0.8]}, "GNN", "MLP"
    )
    table = c.table()
    assert table["candidate"].tolist() == ["LP", "MLP", "GNN"]
    assert table["mean"].isna().tolist() == [True, False, False]
    assert table["note"].tolist() == ["no edges.", "", ""]
    assert table["n"].tolist() == [0, 3, 3]
    assert set(c.scores["candidate"]) == {"MLP", "GNN"}


def test_a_fault_is_not_taken_for_bad_input():
    def broken(model, seed):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        measure(level("GCN", 0.5), broken, seeds=[0])


def test_a_configuration_that_fails_is_noted_and_the_others_are_tried():
    def make(random_state, k):
        if k == 8:
            raise MakedoInputError("k=8 is too deep")
        return k

    candidate = Candidate("GCN", make, [{"k": 8}, {"k": 2}])
    runs = measure(candidate, lambda k, s: Outcome(0.5, {"all": 0.5}), seeds=[0, 1])
    assert runs.configuration == {"k": 2} and not runs.failures
    assert runs.notes == ("{'k': 8} failed: k=8 is too deep",)


def test_a_failed_seed_is_left_out_pair_by_pair_and_counted():
    c = over({"MLP": [0.5, 0.6, 0.7], "GNN": [0.6, "diverged", 0.9]}, "GNN", "MLP")
    assert c.paired("GNN", "MLP").values == pytest.approx({0: 10.0, 2: 20.0})
    assert c.failures == {"GNN": "failed on 1 of 3 seeds (diverged)"}
    assert c.verdict().endswith("; GNN: failed on 1 of 3 seeds (diverged).")


def test_an_infinite_score_is_a_failure_and_not_a_mean():
    c = over({"MLP": [0.5, 0.6], "GNN": [0.5, math.inf]}, "GNN", "MLP", valid={"MLP": 1, "GNN": 1})
    assert "infinite" in c.failures["GNN"]


# --- paired differences -------------------------------------------------------------------------


def test_the_interval_over_seeds_is_that_of_the_paired_t_test():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=12), rng.normal(size=12)
    d = difference(a, b, seeds=range(12))
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert d.interval == pytest.approx((expected.low, expected.high))
    assert d.gain == pytest.approx((a - b).mean())


def test_a_group_without_test_rows_in_a_seed_is_left_out_pair_by_pair():
    c = over({"MLP": [0.5, math.nan, 0.7, 0.1], "GNN": [0.6, 0.9, math.nan, 0.4]}, "GNN", "MLP")
    d = c.paired("GNN", "MLP")
    assert d.values == pytest.approx({0: 10.0, 3: 30.0}) and d.n == 2
    assert d.gain == pytest.approx(20.0)
    assert c.table()["n"].tolist() == [3, 3]


def test_a_gain_is_positive_where_the_lower_score_is_better():
    c = over({"mean": [3.0, 3.2, 3.1], "GP": [2.0, 2.1, 2.2]}, "GP", "mean", metric=RMSE)
    assert c.paired("GP", "mean").gain == pytest.approx(1.0)
    assert c.pick() == "GP"
    assert "it beats mean by 1.00 °F of RMSE" in c.verdict()


def test_a_difference_seen_from_the_other_side_is_its_mirror():
    c = over({"MLP": [0.5, 0.6, 0.8], "GNN": [0.6, 0.9, 0.7]}, "GNN", "MLP")
    assert c.paired("GNN", "MLP").reversed() == c.paired("MLP", "GNN")


def test_one_seed_gives_no_interval_and_the_verdict_says_so():
    c = over({"MLP": [0.5], "GNN": [0.9]}, "GNN", "MLP")
    assert c.paired("GNN", "MLP").interval is None
    assert c.verdict() == (
        "Use GNN: on all rows GNN is 40.0 points of accuracy ahead of MLP "
        "(1 seed: too few for an interval)."
    )


def test_candidates_that_differ_by_rounding_only_are_as_good():
    a = np.full(5, 70.0)
    assert difference(a + 1e-13, a, seeds=range(5)).clear == 0


def test_the_bootstrap_over_rows_agrees_with_scipys():
    values = np.random.default_rng(1).choice([-1.0, 0.0, 1.0], size=60, p=[0.1, 0.6, 0.3])
    reference = stats.bootstrap((values,), np.mean, method="percentile", rng=0)
    expected = reference.confidence_interval
    assert bootstrap_interval(values) == pytest.approx((expected.low, expected.high), abs=0.018)
    assert bootstrap_interval(values, 3) == bootstrap_interval(values, 3)


def test_the_normal_interval_of_many_rows_joins_on_smoothly():
    values = np.random.default_rng(1).normal(size=MOST_BOOTSTRAP_ROWS + 1)
    short, long = bootstrap_interval(values[:-1]), bootstrap_interval(values)
    assert short == pytest.approx(long, abs=0.003)


def test_few_rows_give_no_interval():
    assert paired_rows([1] * 9, [0] * 9).interval is None
    assert paired_rows([1, 0] * 5, [0] * 10).interval is not None
    assert t_interval(np.array([1.0])) is None


def test_rows_without_a_label_are_left_out():
    d = paired_rows([1, 1, 0, math.nan] * 5, [0, 1, 0, 1] * 5)
    assert d.n == 15 and d.gain == pytest.approx(100 / 3)


def test_scores_of_different_rows_cannot_be_paired():
    with pytest.raises(MakedoInputError, match=r"the same rows.*\(3,\) and \(4,\)"):
        paired_rows([1, 0, 1], [1, 0, 1, 1])


# --- which to use -------------------------------------------------------------------------------


def test_ours_is_recommended_where_it_clearly_beats_the_simpler_ones():
    c = over({"MLP": [0.5, 0.6, 0.55, 0.52], "GNN": [0.6, 0.72, 0.64, 0.63]}, "GNN", "MLP")
    assert c.verdict(noun="nodes") == (
        "Use GNN: on all nodes it beats MLP by 10.5 points of accuracy "
        "(95 % interval 8.4 to 12.6, 4 seeds)."
    )


def test_the_simpler_candidate_is_recommended_where_the_interval_contains_0():
    c = over({"MLP": [0.5, 0.6, 0.55, 0.5], "GNN": [0.52, 0.58, 0.57, 0.5]}, "GNN", "MLP")
    assert c.pick() == "MLP"
    assert c.verdict() == (
        "MLP alone is as good on all rows, as far as 4 seeds can tell (GNN over MLP: +0.5 points "
        "of accuracy, 95 % interval -2.5 to 3.5, 4 seeds): use that."
    )


def test_pairs_are_called_by_what_they_are():
    scores = {"MLP": [0, 1] * 20, "GNN": [1, 1, 1, 0] * 10}
    said = compare_rows(scores, reference="MLP", ours="GNN", over="node").verdict()
    assert "on all nodes" in said and "40 nodes can tell" in said and ", 40 nodes)" in said
    assert "row" not in said and "user" not in said
    said = compare_rows(scores, reference="MLP", ours="GNN").verdict()
    assert "on all rows" in said and "40 rows can tell" in said


def test_a_baseline_that_clearly_wins_is_named():
    c = over({"MLP": [0.7, 0.8, 0.75], "GNN": [0.6, 0.69, 0.65]}, "GNN", "MLP")
    assert c.verdict().startswith("Use MLP: on all rows it beats GNN by 10.3 points of accuracy")


def test_a_third_candidate_is_recommended_and_ours_still_set_against_the_reference():
    scores = {"MLP": [0.5, 0.6, 0.55], "GLNN": [0.8, 0.91, 0.85], "GNN": [0.7, 0.8, 0.76]}
    assert (
        over(scores, "GNN", "MLP")
        .verdict()
        .startswith("Use GLNN: on all rows it beats GNN by 10.0 points of accuracy")
    )
    assert "; GNN beats MLP by 20.3 points" in over(scores, "GNN", "MLP").verdict()


def test_a_candidate_that_is_lucky_on_test_does_not_lead():
    scores = {"MLP": [0.5, 0.6, 0.55], "GLNN": [0.9, 0.99, 0.95], "GNN": [0.7, 0.8, 0.75]}
    valid = {"MLP": 0.5, "GLNN": 0.4, "GNN": 0.7}
    c = over(scores, "GNN", "MLP", valid=valid)
    assert c.pick() == "GLNN"  # simpler than GNN and not beaten by it
    swapped = {name: scores[name] for name in ("MLP", "GNN", "GLNN")}
    assert over(swapped, "GNN", "MLP", valid=valid).pick() == "GNN"


def test_a_simple_candidate_that_ours_clearly_beats_is_not_recommended():
    scores = {"MLP": [0.5, 0.6, 0.55], "GLNN": [0.7, 0.5, 0.6], "GNN": [0.7, 0.8, 0.75]}
    valid = {"MLP": 0.5, "GLNN": 0.9, "GNN": 0.7}  # GLNN leads on validation, MLP is as good as it
    assert over(scores, "GNN", "MLP", valid=valid).pick() == "GLNN"


def test_validation_of_a_group_chooses_for_that_group():
    def read(name, seed):
        hidden = {"MLP": 0.6, "GCN": 0.4, "GNN": 0.5}[name]
        test = {"MLP": 0.6, "GCN": 0.4, "GNN": 0.5}[name] + seed / 100
        return Outcome(
            {"MLP": 0.1, "GCN": 0.9, "GNN": 0.5}[name],
            {"new": test, "all": 1.0 - test},
            valid_groups={"new": hidden},
        )

    candidates = [Candidate(n, lambda random_state, n=n: n) for n in ("GNN", "GCN", "MLP")]
    c = compare(candidates, read, seeds=range(3), reference="GCN", ours="GNN")
    assert c.pick("new") == "MLP"
    assert c.pick("all") == "GCN"


def test_a_candidate_that_failed_on_a_seed_is_not_recommended_while_others_did_not():
    scores = {"LP": [0.9, "no edges", 0.9], "MLP": [0.5, 0.6, 0.7], "GNN": [0.5, 0.6, 0.7]}
    assert over(scores, "GNN", "MLP").pick() == "MLP"


def test_ours_that_cannot_run_gives_way_with_the_reason():
    c = over({"MLP": [0.5, 0.6], "GNN": ["The graph has no edges."] * 2}, "GNN", "MLP")
    assert c.verdict("all", "nodes") == (
        "GNN could not be tested on all nodes (The graph has no edges): use MLP."
    )


def test_nothing_to_compare_is_said_as_such():
    c = over({"MLP": ["One class only."], "GNN": ["One class only."]}, "GNN", "MLP")
    assert c.verdict() == "Nothing could be compared on all rows (One class only)."
    assert c.table()["note"].tolist() == ["One class only."] * 2


def test_all_candidates_share_the_noise_of_a_seed():
    candidates = [level("MLP", 0.6, noise=0.0), level("GNN", 0.7, [{}, {"shift": 0.05}], noise=0.0)]
    c = compare(candidates, run, seeds=SEEDS, reference="MLP", ours="GNN")
    assert list(c.paired("GNN", "MLP", "new").values.values()) == pytest.approx([15.0] * 6)
    table = c.table()
    assert min(table["sd"]) > 1
    assert table["group"].tolist() == ["new", "all"] * 2
    assert table["size"].tolist() == [20.0, 200.0] * 2 and table["n"].tolist() == [6] * 4
    assert len(c.differences()) == 2


@pytest.mark.parametrize(
    ("names", "reference", "seeds", "message"),
    [
        (["MLP", "MLP"], "MLP", [0], "two candidates have one name .first: 'MLP'."),
        (["MLP", "GNN"], "LP", [0], "reference 'LP' is not among 'MLP', 'GNN'"),
        (["MLP", "GNN"], "MLP", [], "seeds must be one or more different integers"),
        (["MLP", "GNN"], "MLP", [1, 1], "seeds must be one or more different integers"),
    ],
)
def test_a_comparison_that_makes_no_sense_is_refused(names, reference, seeds, message):
    candidates = [level(name, 0.5) for name in names]
    with pytest.raises(MakedoInputError, match=message):
        compare(candidates, run, seeds=seeds, reference=reference, ours=names[-1])


def test_an_unknown_group_or_candidate_is_refused_with_those_there_are():
    c = over({"MLP": [0.5, 0.6], "GNN": [0.6, 0.7]}, "GNN", "MLP")
    with pytest.raises(MakedoInputError, match="no group 'tail'. There are 'all'"):
        c.verdict("tail")
    with pytest.raises(MakedoInputError, match="no candidate 'LP'. There are 'MLP', 'GNN'"):
        c.paired("LP", "GNN")


# --- fixed rows ---------------------------------------------------------------------------------


def test_finished_predictions_are_compared_on_fixed_rows_by_group():
    rng = np.random.default_rng(0)
    isolated = np.arange(400) < 100
    mlp = rng.random(400) < 0.6
    gnn = np.where(isolated, mlp, rng.random(400) < 0.9)
    c = compare_rows(
        {"MLP": mlp, "GNN": gnn},
        groups={"isolated": isolated, "connected": ~isolated},
        valid={"MLP": 0.6, "GNN": 0.9},
        reference="MLP",
        ours="GNN",
    )
    assert c.paired("GNN", "MLP", "isolated").gain == 0
    by_hand = paired_rows(gnn[100:], mlp[100:], names=("GNN", "MLP"), group="connected")
    assert c.paired("GNN", "MLP", "connected") == by_hand
    assert c.verdict("isolated", "nodes").startswith("MLP alone is as good on isolated nodes")
    assert c.verdict("connected", "nodes").startswith("Use GNN: on connected nodes it beats MLP by")
    table = c.table().set_index(["candidate", "group"])
    assert table.loc[("MLP", "isolated"), "mean"] == pytest.approx(100 * mlp[:100].mean())
    assert table.loc[("MLP", "isolated"), "size"] == 100
    assert c.scores.columns.tolist() == ["candidate", "row", "group", "score"]
    assert len(c.scores) == 800


def test_rows_of_different_length_are_refused():
    with pytest.raises(MakedoInputError, match=r"'MLP' has shape \(3,\), but 'GNN' scores 2 rows"):
        compare_rows({"MLP": [1, 0, 1], "GNN": [1, 1]}, reference="MLP", ours="GNN")


def test_importing_the_comparison_loads_no_heavy_library():
    code = (
        "import sys, makedo.core.compare, makedo.core.tables\n"
        "print([m for m in ('torch', 'pandas', 'scipy', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
