"""What is measured inside the data: splits, broken labels, removal, acting, and the verdict."""

import numpy as np
import pandas as pd
import pytest

from makedo import DatasetDerivative
from makedo.core.paired import t_interval
from makedo.methods.diva import evidence, study
from makedo.methods.diva.diagnose import diagnose
from makedo.methods.diva.evidence import with_broken
from makedo.methods.diva.study import Samples, fitted_study, narrowed, read_study

pytestmark = pytest.mark.filterwarnings("default::makedo.core.checks.MakedoWarning")


def clouds(n=240, n_classes=3, n_features=6, spread=1.0, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    centres = 2.5 * np.eye(n_classes, n_features)
    return centres[y] + spread * rng.normal(size=(n, n_features)), y


def rng():
    return np.random.default_rng(0)


def read(X, y, model=None, **more):
    return read_study(model or DatasetDerivative(), X, y, rng=rng(), **more)


# --- the data as a study -------------------------------------------------------------------------


def test_a_study_fits_what_the_estimator_fits():
    X, y = clouds()
    for settings in ({}, {"scale": "standardize"}, {"scale": None}, {"penalty": 3.0}):
        model = DatasetDerivative(**settings).fit(X, y)
        for one in (read(X, y, DatasetDerivative(**settings)), fitted_study(model, rng())):
            again = one.fit(one.train)
            assert again.gradient_ == pytest.approx(model.gradient_, rel=1e-6, abs=1e-12)
            assert again.penalty_ == pytest.approx(model.penalty_)


def test_a_fitted_model_gives_its_trusted_rows_groups_and_weights_back():
    X, y = clouds()
    groups, weights = np.arange(200) // 3, 1.0 + np.arange(200) % 4
    model = DatasetDerivative().fit(X[:200], y[:200], groups=groups, sample_weight=weights)
    one = fitted_study(model, rng())
    assert one.grouped and one.train.alpha.tolist() == weights.tolist()
    same = one.train.group[:, None] == one.train.group
    assert (same == (groups[:, None] == groups)).all()
    assert one.fit(one.train).gradient_ == pytest.approx(model.gradient_)
    model = DatasetDerivative().fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    one = fitted_study(model, rng())
    assert one.trusted.Y.argmax(1).tolist() == y[200:].tolist()
    assert one.fit(one.train, one.trusted).gradient_ == pytest.approx(model.gradient_)


@pytest.mark.parametrize("shape", [(60, 200), (300, 200)], ids=["wide", "tall"])
def test_a_turn_changes_no_prediction_and_directions_of_little_spread_matter_little(shape):
    X, y = clouds(*shape[:1], n_features=shape[1], spread=0.5)
    model = DatasetDerivative(penalty=5.0, scale=None)
    one = read(X, y, model)
    whole = one.fit(one.train).decision_function(one.train.Z)
    rank = min(shape[0], 199)
    for most, tolerance in ((rank, 0.01), (rank - 30, 0.1)):
        train, others = narrowed(most, one.train, one.train)
        assert train.Z.shape[1] <= most
        turned = one.fit(train).decision_function(others.Z)
        difference = np.abs(turned - whole).mean()
        assert difference < tolerance and (most < rank or shape[0] > 200 or difference < 1e-9)


def test_much_data_is_sampled_and_classes_of_one_row_are_left_out(monkeypatch):
    X, y = clouds()
    y[7] = 9
    assert len(read(X, y).train) == 239
    monkeypatch.setattr(study, "MOST_ROWS", 50)
    one = read(X, y, X_val=X, y_val=y)
    assert len(one.train) <= 50 and len(one.trusted) <= 50
    assert (one.train.Y.sum(0)[one.trusted.Y.argmax(1)] > 0).all()


@pytest.mark.parametrize("grouped", [False, True])
def test_folds_hold_every_row_once_and_no_group_is_torn(grouped):
    X, y = clouds()
    groups = np.random.default_rng(1).integers(0, 50, 240) if grouped else None
    one = read(X, y, groups=groups)
    folds = one.folds(one.train, 5, rng())
    assert sorted(np.concatenate(folds)) == list(range(240))
    if grouped:
        assert all(
            not set(one.train.group[a]) & set(one.train.group[b])
            for i, a in enumerate(folds)
            for b in folds[:i]
        )
    else:  # each has its share of each class
        counts = np.array([np.bincount(y[fold], minlength=3) for fold in folds])
        assert np.ptp(counts, axis=0).max() <= 1


def test_what_is_tested_on_guides_nothing():
    X, y = clouds()
    plain = list(read(X, y).splits(4, rng()))
    assert sum(len(s.held) for s in plain) == 240 and all(s.guide is None for s in plain)
    assert all(len(s.train) + len(s.held) == 240 for s in plain)
    trusted = list(read(X[:160], y[:160], X_val=X[160:], y_val=y[160:]).splits(4, rng()))
    for split in trusted:
        assert len(split.train) == 160 and len(split.guide) + len(split.held) == 80
        held = {tuple(row) for row in split.held.Z}
        assert not held & {tuple(row) for row in split.guide.Z}
    model = DatasetDerivative().fit(X[:160], y[:160])
    (only,) = fitted_study(model, rng(), test=(X[160:], y[160:])).splits(4, rng())
    assert only.guide is None and len(only.train) == 160 and len(only.held) == 80


def test_a_class_that_a_head_never_saw_is_not_named():
    X, y = clouds()
    one = read(X, y)
    model = one.fit(one.train.take(y > 0))
    said = one.outputs(model, one.train)
    assert said.shape == (240, 3) and (said[:, 0] == -np.inf).all()
    assert (one.credit(said, one.train.Y)[y == 0] == 0).all()


# --- measurements --------------------------------------------------------------------------------


def targets(kind):
    draw, n = np.random.default_rng(3), 100
    if kind == "classes":
        return np.eye(4)[draw.integers(0, 4, n)]
    if kind == "multilabel":
        return draw.integers(0, 2, (n, 4)).astype(float)
    return draw.dirichlet(np.ones(4), n) if kind == "soft" else draw.normal(size=(n, 2))


@pytest.mark.parametrize("kind", ["classes", "multilabel", "soft", "values"])
def test_broken_targets_are_wrong_in_the_marked_rows_alone_and_still_targets(kind):
    Y = targets(kind)
    broken = np.arange(100) % 5 == 0
    wrong = with_broken(kind, Y, broken, rng())
    assert (wrong != Y).any(1).tolist() == broken.tolist()
    if kind == "classes":
        assert (wrong.sum(1) == 1).all() and np.isin(wrong, (0, 1)).all()
        assert len(np.unique(wrong[broken].argmax(1))) == 4
    elif kind == "multilabel":
        assert np.isin(wrong, (0, 1)).all() and ((wrong != Y).sum(1) <= 1).all()
    else:  # the same targets in another order
        assert np.sort(wrong, axis=0) == pytest.approx(np.sort(Y, axis=0))


def test_good_scores_find_what_we_broke_and_noise_does_not():
    X, y = clouds(spread=0.5)
    found = evidence.find_broken(read(X, y), rng())
    assert list(found) == ["margin", "derivative"] and len(found) == evidence.DRAWS
    assert found["margin"].mean() > 0.97
    noise = np.random.default_rng(0).normal(size=(240, 6))
    found = evidence.find_broken(read(noise, y), rng())
    assert 0.3 < found["margin"].mean() < 0.7


def test_the_derivative_foretells_exact_removal():
    X, y = clouds()
    one = read(X, y)
    agreement = evidence.agree_with_removal(one, one.fit(one.train), rng())
    assert agreement["derivative"] > 0.95 > agreement["margin"]


def test_the_best_of_other_heads_is_compared_with_the_linear_one():
    draw = np.random.default_rng(0)
    X = draw.uniform(-1, 1, (400, 2))
    y = (X[:, 0] * X[:, 1] + 0.4 * X[:, 0] > 0).astype(int)
    heads = evidence.compare_heads(read(X, y), rng())
    table = heads.table().set_index("candidate")["mean"]
    assert table["kNN"] > table["linear head"] + 5 > table["constant"]
    found = evidence.Evidence(heads, 0.0, pd.DataFrame(), {}, [], 0.0)
    assert found.gap.ours in ("kNN", "boosting") and found.gap.clear == 1


def test_rows_that_are_dropped_are_those_that_the_score_names():
    X, y = clouds()
    one = read(X, y)
    split = study.Split(one.train, None, one.train)
    base = one.fit(one.train)
    for name, score in (
        ("drop by margin", evidence.doubt(one, base, one.train)),
        ("drop by derivative", base.gradient_),
    ):
        left = evidence._acted(one, name, base, split, 30)
        kept = {tuple(z) for z in left.Z}
        gone = np.array([tuple(z) not in kept for z in one.train.Z])
        assert gone.sum() == 30 and score[gone].min() >= score[~gone].max()
    weighted = evidence._acted(one, "reweight", base, split, 30)
    assert weighted.alpha.mean() == pytest.approx(1)
    lighter = weighted.alpha < 1
    assert base.gradient_[lighter].mean() > base.gradient_[~lighter].mean()
    assert evidence._acted(one, "drop by margin", base, split, 0) is None


def test_gains_are_paired_by_fold_or_by_row():
    X, y = clouds()
    one = read(X, y)
    ours = [np.array([1, 1, 0, 1]), np.array([1, 0]), np.array([1, 1, 1])]
    given = [np.array([1, 0, 0, 1]), np.array([1, 0]), np.array([0, 1, 1])]
    found = evidence.gain(one, "x", ours, given)
    gains = np.array([25, 0, 100 / 3])
    assert found.gain == pytest.approx(gains.mean()) and found.n == 3
    assert found.interval == pytest.approx(t_interval(gains)) and "3 folds" in found.evidence
    rows = evidence.gain(one, "x", [np.arange(40) % 2], [np.zeros(40)])
    assert rows.gain == 50 and "40 rows" in rows.evidence


def test_columns_of_other_units_are_to_be_standardised():
    X, y = clouds(spread=0.8)
    assert diagnose(DatasetDerivative(), X, y).advice.count("scale=standardize") == 0
    mixed = X * [1, 1, 1, 1000, 1, 1]  # a column that says nothing, in a small unit
    found = diagnose(DatasetDerivative(penalty=50.0), mixed, y)
    assert "First set scale=standardize" in found.advice
    again = diagnose(DatasetDerivative(penalty=50.0, scale="standardize"), mixed, y)
    assert "scale=standardize" not in again.advice
    name = "accuracy, %: linear head"
    assert again.figures[name] > found.figures[name] + 5


# --- the verdict ---------------------------------------------------------------------------------


def broken(seed=0):
    """Four clouds in eighty features; three of ten labels are wrong.  And rows to trust."""
    draw = np.random.default_rng(100 + seed)
    X, y = clouds(1600, 4, 80, spread=0.8, seed=seed)
    wrong = np.arange(1600) < 120
    y = y + np.where(wrong, draw.integers(1, 4, 1600), 0)
    return X[:400], y[:400] % 4, {"X_val": X[400:], "y_val": y[400:] % 4}


def noise():
    return np.random.default_rng(0).normal(size=(300, 4)), np.arange(300) % 2


def curved():
    X = np.random.default_rng(0).uniform(-1, 1, (400, 2))
    return X, (X[:, 0] * X[:, 1] + 0.4 * X[:, 0] > 0).astype(int)


@pytest.mark.parametrize(
    ("make", "verdict", "words"),
    [
        (noise, "does not apply", "no better than a constant"),
        (curved, "does not apply", "describe the wrong model"),
        (lambda: clouds(spread=0.4), "does not apply", "makes no clear difference|nothing to drop"),
        (lambda: clouds(30), "cannot tell", "30 labelled rows are too few"),
    ],
    ids=["noise", "curved", "clean", "few"],
)
def test_the_verdict_fits_the_data(make, verdict, words):
    import re

    found = diagnose(DatasetDerivative(), *make())
    assert found.verdict == verdict and re.search(words.replace("(", r"\("), found.advice)
    assert bool(found.command) == (verdict in ("applies", "may help"))


@pytest.mark.parametrize("seed", range(2))
def test_dropping_wrong_labels_helps_and_trusted_rows_are_sure_of_it(seed):
    X, y, trusted = broken(seed)
    inside = diagnose(DatasetDerivative(), X, y)
    assert inside.verdict in ("applies", "may help") and inside.expected_gain > 1
    assert 20 < inside.figures["labels that look wrong, %"] < 45
    sure = diagnose(DatasetDerivative(), X, y, **trusted)
    assert sure.verdict == "applies" and sure.interval[0] > 1 and "helps (" in sure.advice
    assert sure.figures["trusted rows"] == 1200 and "trusted rows" in sure.unit


def test_shares_of_which_one_is_the_largest_everywhere_are_measured():
    X, y = clouds(120)
    Y = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]])[y]
    assert diagnose(DatasetDerivative(), X, Y).figures["rows with a label"] == 120


def test_a_class_that_stands_alone_is_no_data_to_measure_on():
    X, y = clouds(60)
    found = diagnose(DatasetDerivative(), X, np.where(np.arange(60) == 3, "odd", "even"))
    assert found.verdict == "cannot tell" and "Only one class" in found.advice
    assert "1 labelled row is too few" in diagnose(DatasetDerivative(), X[:1], y[:1]).advice


def test_rows_without_a_label_do_not_count():
    X, y = clouds()
    gaps = y.astype(object)
    gaps[::4] = None
    groups, weights = np.arange(240) // 2, 1.0 + np.arange(240) % 2
    known = np.arange(240) % 4 > 0
    found = diagnose(DatasetDerivative(), X, gaps, groups=groups, sample_weight=weights)
    alone = diagnose(
        DatasetDerivative(),
        X[known],
        y[known],
        groups=groups[known],
        sample_weight=weights[known],
    )
    assert found.figures.pop("rows without a label") == 60
    assert {**found.to_dict(), "seconds": 0} == {**alone.to_dict(), "seconds": 0}


@pytest.mark.parametrize("kind", ["multilabel", "soft", "values"])
def test_other_targets_are_measured_too(kind):
    X, y = clouds()
    Y = {"soft": np.eye(3)[y] * 0.9 + 0.1 / 3, "values": X[:, :2] @ [[1, 2], [3, -1]]}
    Y["multilabel"] = (X[:, :3] > 1).astype(int)
    found = diagnose(DatasetDerivative(targets=kind), X, Y[kind])
    assert found.expected_gain is not None and found.figures["rows with a label"] == 240
    names = [name for name in found.figures if name.endswith("linear head")]
    metric = {"soft": "accuracy, %", "multilabel": "right labels, %", "values": "R²"}[kind]
    assert names == [f"{metric}: linear head"]


def test_a_column_of_the_table_may_be_the_label():
    X, y = clouds()
    frame = pd.DataFrame(X, columns=list("abcdef"))
    found = diagnose(DatasetDerivative(), frame.assign(kind=y), "kind")
    alone = diagnose(DatasetDerivative(), frame, y)
    assert {**found.to_dict(), "seconds": 0} == {**alone.to_dict(), "seconds": 0}


def test_samples_are_cut_and_joined_row_by_row():
    one = Samples(np.eye(3), np.eye(3), np.ones(3), np.arange(3))
    both = one.take(np.array([2, 0])).and_also(one)
    assert both.Z.tolist() == np.vstack([np.eye(3)[[2, 0]], np.eye(3)]).tolist()
    assert len(set(both.group.tolist())) == 5 and len(both) == 5
