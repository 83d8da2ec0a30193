"""Which labels are wrong: scores by formula and by refits, thresholds, kinds of labels, errors."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

import makedo
from makedo.core.checks import MakedoInputError
from makedo.methods.diva.issues import LabelIssueFinder
from makedo.methods.diva.label_scores import margins, share_of_wrong_labels, standardised


def blobs(n=150, n_classes=3, spread=4.0, n_wrong=0, seed=0):
    """Classes around corners, with labels that were moved on by one: X, y, which are wrong."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    X = rng.normal(size=(n, 6)) + spread * np.eye(n_classes, 6)[y]
    wrong = np.zeros(n, dtype=bool)
    wrong[rng.permutation(n)[:n_wrong]] = True
    return X, np.where(wrong, (y + 1) % n_classes, y), wrong


def probabilities(n=60, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(n_classes), size=n), rng.integers(0, n_classes, n)


def refits(X, Y, penalty, groups=None):
    """Predictions at each row by scikit-learn's ridge without the row, or without its group."""
    groups = np.arange(len(X)) if groups is None else groups
    out = np.empty(Y.shape)
    for group in np.unique(groups):
        left = groups == group
        out[left] = Ridge(alpha=penalty).fit(X[~left], Y[~left]).predict(X[left])
    return out


# --- scores --------------------------------------------------------------------------------------


def test_the_margin_of_each_label_is_the_best_other_output_minus_its_own():
    F = np.array([[0.5, 0.2, 0.3], [1.0, 1.0, 0.0]])
    np.testing.assert_allclose(margins(F), [[-0.2, 0.3, 0.2], [0.0, 0.0, 1.0]])


@pytest.mark.parametrize("score", ["margin", "self_confidence"])
def test_scores_are_those_of_refits_without_the_sample(score):
    X, y, _ = blobs(40, n_wrong=4)
    F = refits(X, np.eye(3)[y], penalty=2.0)
    given = F[np.arange(40), y]
    F[np.arange(40), y] = -np.inf
    expected = F.max(1) - given if score == "margin" else 1 - given
    finder = LabelIssueFinder(score, penalty=2.0, scale=None).fit(X, y)
    np.testing.assert_allclose(finder.issues_["score"], expected, atol=1e-8)


def test_samples_of_a_group_do_not_vouch_for_each_other():
    X, y, _ = blobs(40, n_wrong=4)
    X[20:], y[20:] = X[:20], y[:20]
    groups = np.arange(40) % 20
    F = refits(X, np.eye(3)[y], 2.0, groups)
    expected = 1 - F[np.arange(40), y]
    settings = {"score": "self_confidence", "penalty": 2.0, "scale": None}
    grouped = LabelIssueFinder(**settings).fit(X, y, groups=groups).issues_["score"]
    np.testing.assert_allclose(grouped, expected, atol=1e-8)
    assert not np.allclose(LabelIssueFinder(**settings).fit(X, y).issues_["score"], expected)


@pytest.mark.parametrize("score", ["margin", "self_confidence", "derivative", "ensemble"])
def test_every_score_puts_wrong_labels_on_top(score):
    X, y, wrong = blobs(300, n_wrong=30)
    issues = LabelIssueFinder(score).fit(X, y).issues_
    assert issues["rank"][wrong].max() <= 35
    assert (np.argsort(-issues["score"], kind="stable") == np.argsort(issues["rank"])).all()
    assert sorted(issues["rank"]) == list(range(1, 301))
    assert (issues["suggested"][wrong] == (y[wrong] - 1) % 3).mean() > 0.9


def test_the_derivative_is_that_of_the_dataset_derivative():
    from makedo.methods.diva.estimator import DatasetDerivative

    X, y, _ = blobs(60, n_wrong=6)
    settings = {"outer_loss": "cross_entropy", "outer_temperature": 3.0, "penalty": 0.5}
    expected = DatasetDerivative(**settings).fit(X, y).gradient_
    found = LabelIssueFinder("derivative", fit_intercept=True, **settings).fit(X, y)
    np.testing.assert_array_equal(found.issues_["score"], expected)


# --- thresholds ----------------------------------------------------------------------------------


def test_the_share_of_wrong_labels_is_that_of_a_mixture():
    rng = np.random.default_rng(0)
    wrong = rng.normal(2, 1, 20_000)
    for share in (0.0, 0.1, 0.4):
        n = round(share * 4000)
        given = np.concatenate([rng.normal(-2, 1, 4000 - n), rng.normal(2, 1, n)])
        assert share_of_wrong_labels(given, wrong) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("spread", [4.0, 2.0])  # easy to tell apart, and hard
def test_auto_marks_about_as_many_as_are_wrong_and_next_to_none_where_none_is(spread):
    for n_wrong in (0, 90, 270):
        found, missed = [], []
        for seed in range(4):
            X, y, _ = blobs(900, n_classes=5, spread=spread, seed=seed)
            rng = np.random.default_rng(seed)
            wrong = rng.permutation(900)[:n_wrong]
            y[wrong] = (y[wrong] + rng.integers(1, 5, n_wrong)) % 5  # drawn from all other classes
            finder = LabelIssueFinder().fit(X, y)
            assert finder.noise_rate_ == finder.issues_["is_issue"].mean()
            found.append(finder.noise_rate_)
            missed.append((finder.issues_["suggested"] != y).mean())
        assert np.mean(found) == pytest.approx(n_wrong / 900, abs=0.025)
        assert spread > 2 or np.mean(missed) > n_wrong / 900 + 0.1  # hard is not wrong


def test_zero_is_where_another_class_is_predicted_and_the_rule_of_the_paper():
    X, y, _ = blobs(60, n_wrong=6)
    issues = LabelIssueFinder(threshold="zero").fit(X, y).issues_
    assert (issues["is_issue"] == (issues["given"] != issues["suggested"])).all()
    issues = LabelIssueFinder("derivative", "zero").fit(X, y).issues_
    assert (issues["is_issue"] == (issues["score"] >= 0)).all()


def test_a_share_marks_the_most_suspicious():
    X, y, _ = blobs(60, n_wrong=6)
    issues = LabelIssueFinder("ensemble", threshold=0.1).fit(X, y).issues_
    assert set(issues["rank"][issues["is_issue"]]) == set(range(1, 7))


# --- kinds of labels -----------------------------------------------------------------------------


def test_soft_labels_score_as_classes_do_and_half_a_label_is_not_suspicious():
    X, y, _ = blobs(60, n_wrong=6)
    hard = LabelIssueFinder().fit(X, y).issues_
    Y = np.eye(3)[y]
    soft = LabelIssueFinder(targets="soft").fit(X, Y).issues_
    np.testing.assert_allclose(soft["score"], hard["score"])
    P = np.tile([0.5, 0.5, 0.0], (60, 1))
    P[7] = [0, 0.5, 0.5]
    half = LabelIssueFinder("margin", threshold=0.1).fit(y=P, pred_probs=P)
    assert half.kind_ == "soft" and (half.issues_["score"] == 0).all()


def test_each_of_several_labels_is_scored_by_itself():
    X, y, _ = blobs(150)
    Y = np.stack([y == 0, y > 0, y == 2], axis=1).astype(int)
    Y[4, 0] ^= 1
    frame = pd.DataFrame(Y, columns=["red", "round", "ripe"])
    rows = pd.DataFrame(X, index=[f"s{i}" for i in range(150)])
    issues = LabelIssueFinder().fit(rows, frame).issues_
    assert issues["rank"].idxmin() == ("s4", "red") and len(issues) == 450
    worst = issues.loc[("s4", "red")]
    assert worst["given"] == Y[4, 0] and worst["suggested"] == 1 - Y[4, 0] and worst["is_issue"]
    assert issues["is_issue"].sum() <= 5
    F = refits(X, Y.astype(float), 2.0)
    found = LabelIssueFinder("self_confidence", penalty=2.0, scale=None).fit(X, Y).issues_["score"]
    np.testing.assert_allclose(found, np.where(Y > 0, 1 - F, F).ravel(), atol=1e-8)


def test_numbers_are_scored_by_their_standardised_residual():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    y = X @ [1.0, 2, 0, -1] + 0.1 * rng.normal(size=200)
    y[[3, 50]] += [2.0, -3.0]
    finder = LabelIssueFinder(penalty=2.0, scale=None).fit(X, y)
    issues = finder.issues_
    assert finder.score_ == "residual" and finder.kind_ == "values"
    residual = np.abs(y - refits(X, y[:, None], 2.0)[:, 0])
    expected = residual / np.median(residual) / 1.4826
    np.testing.assert_allclose(issues["score"], expected, atol=1e-8)
    assert issues["rank"][[50, 3]].tolist() == [1, 2]
    marked = LabelIssueFinder().fit(X, y).issues_["is_issue"]
    assert marked[[3, 50]].all() and marked.sum() <= 4
    both = LabelIssueFinder().fit(X, np.stack([y, y - X[:, 0]], 1)).issues_
    assert both.index.names == [None, "output"]
    assert both["rank"].loc[50].max() <= 2


def test_half_a_normal_residual_is_marked():
    marked = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(200, 4))
        y = X @ [1.0, 2, 0, -1] + rng.normal(size=200)
        marked.append(LabelIssueFinder().fit(X, y).issues_["is_issue"].sum())
    assert 0.1 < np.mean(marked) < 1.2


def test_standardised_residuals_survive_a_perfect_fit():
    found = standardised(np.array([[0.0, 0, 0, 0], [0.0, 0, 0, 2.0]]).T)
    np.testing.assert_allclose(found, [[0, 0], [0, 0], [0, 0], [0, 4.0]])


def test_the_derivative_of_numbers_takes_a_loss_of_numbers():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 4))
    y = X[:, 0] + 0.1 * rng.normal(size=100)
    y[3] += 3
    issues = LabelIssueFinder("derivative", outer_loss="huber", outer_temperature=1.0).fit(X, y)
    assert issues.issues_["rank"][3] <= 3
    with pytest.raises(MakedoInputError, match="huber"):
        LabelIssueFinder("derivative").fit(X, y)


# --- predictions of the user's own ---------------------------------------------------------------


def test_own_probabilities_rank_as_the_formulas_of_cleanlab():
    P, y = probabilities()
    given = P[np.arange(60), y]
    others = np.where(np.eye(4, dtype=bool)[y], -np.inf, P).max(1)
    for score, quality in (
        ("self_confidence", given),  # its names: self_confidence, normalized_margin
        ("margin", (given - others + 1) / 2),
    ):
        finder = LabelIssueFinder(score, threshold=0.2).fit(y=y, pred_probs=P)
        table = finder.to_cleanlab()
        np.testing.assert_allclose(table["label_quality"], quality)
        columns = ["is_label_issue", "label_quality", "given_label", "predicted_label"]
        assert list(table.columns) == columns
        assert (table["is_label_issue"] == (quality <= np.sort(quality)[11])).all()
        assert (table["given_label"] == y).all() and (table["predicted_label"] == P.argmax(1)).all()


def test_own_probabilities_rank_as_in_cleanlab_itself():
    rank = pytest.importorskip("cleanlab.rank", reason="cleanlab comes with the extra bench")
    P, y = probabilities(300)
    for score, method in (
        ("self_confidence", "self_confidence"),
        ("margin", "normalized_margin"),
    ):
        ours = LabelIssueFinder(score).fit(y=y, pred_probs=P).to_cleanlab()["label_quality"]
        theirs = rank.get_label_quality_scores(y, P, method=method)
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_the_quality_ranks_as_the_score_whatever_it_is():
    X, y, _ = blobs(60, n_wrong=6)
    for score in ("margin", "self_confidence", "derivative", "ensemble"):
        finder = LabelIssueFinder(score).fit(X, y)
        order = np.argsort(finder.to_cleanlab()["label_quality"], kind="stable")
        assert (finder.issues_["rank"].iloc[order] == np.arange(1, 61)).all()


def test_columns_of_probabilities_are_found_by_name():
    P, y = probabilities()
    names = np.array(["ant", "bee", "cow", "dog"])
    frame = pd.DataFrame(P, columns=names)[["dog", "ant", "cow", "bee"]]
    expected = LabelIssueFinder().fit(y=names[y], pred_probs=P).issues_
    pd.testing.assert_frame_equal(
        LabelIssueFinder().fit(y=names[y], pred_probs=frame).issues_[["score", "suggested"]],
        expected[["score", "suggested"]],
        check_dtype=False,
    )


def test_columns_of_several_labels_are_found_by_name():
    P, _ = probabilities()
    frame = pd.DataFrame(P, columns=list("abcd"))
    Y = (frame > 0.5).astype(int)
    Y.iloc[0] = 1  # several labels, and not one class a row
    expected = LabelIssueFinder().fit(y=Y, pred_probs=frame).scores_
    found = LabelIssueFinder().fit(y=Y, pred_probs=frame[["d", "b", "a", "c"]]).scores_
    np.testing.assert_array_equal(found, expected)


def test_ids_of_probabilities_are_those_of_the_labels():
    P, y = probabilities()
    ids = [f"p{i}" for i in range(60)]
    frame, labels = pd.DataFrame(P, index=ids), pd.Series(y, index=ids)
    for given in ((labels, P), (y, frame), (labels, frame)):
        found = LabelIssueFinder().fit(y=given[0], pred_probs=given[1]).issues_
        assert list(found.index) == ids
    with pytest.raises(MakedoInputError, match="different ids"):
        LabelIssueFinder().fit(y=labels, pred_probs=frame.iloc[::-1])


def test_a_class_that_no_label_names_may_be_predicted():
    P, y = probabilities()
    y[y == 2] = 3
    issues = LabelIssueFinder().fit(y=y, pred_probs=P).issues_
    assert (issues["suggested"] == P.argmax(1)).all() and 2 in set(issues["suggested"])


def test_probabilities_of_several_labels_and_predictions_of_numbers():
    rng = np.random.default_rng(0)
    P, Y = rng.random((50, 3)), rng.integers(0, 2, (50, 3))
    Y[0] = 1  # a row of two or three labels, so that they are not one class a row
    issues = LabelIssueFinder("self_confidence").fit(y=Y, pred_probs=P).issues_
    np.testing.assert_allclose(issues["score"], np.where(Y > 0, 1 - P, P).ravel())
    y = rng.normal(size=50)
    issues = LabelIssueFinder().fit(y=y, pred_probs=y + 1.0).issues_
    np.testing.assert_allclose(issues["score"], 1 / 1.4826)


# --- ids, saving, errors -------------------------------------------------------------------------


def test_ids_stay_and_a_saved_finder_says_the_same(tmp_path):
    X, y, _ = blobs(60, n_wrong=6)
    frame = pd.DataFrame(X, index=[f"p{i}" for i in range(60)], columns=list("abcdef"))
    finder = LabelIssueFinder().fit(frame, y)
    assert list(finder.issues_.index) == list(frame.index)
    finder.save(tmp_path / "model")
    pd.testing.assert_frame_equal(makedo.load(tmp_path / "model").issues_, finder.issues_)
    assert not {p.name for p in (tmp_path / "model").iterdir()} - {
        "model.json", "weights.safetensors", "tables.parquet", "README.md"
    }  # fmt: skip


def test_it_says_in_a_sentence_what_it_found():
    X, y, _ = blobs(60)
    assert LabelIssueFinder(threshold=0.0).fit(X, y).verdict_ == (
        "None of 60 labels stands out as wrong."
    )
    found = LabelIssueFinder(threshold=0.05).fit(X, y).verdict_
    assert found == "3 of 60 labels (5.0%) look wrong: see them first."


@pytest.mark.parametrize(
    ("settings", "data", "match"),
    [
        ({}, {"X": 1, "P": 1}, "either X, or pred_probs .* Got both"),
        ({}, {}, "Got neither"),
        ({}, {"P": 1, "groups": 1}, "groups are for X"),
        ({"score": "derivative"}, {"P": 1}, "needs the features. Give X"),
        ({"score": "residual"}, {"X": 1}, "'residual' is not a score of classes"),
        ({"score": "self_confidence", "threshold": "zero"}, {"P": 1}, 'threshold="zero"'),
        ({"threshold": 1.5}, {"P": 1}, "parameter threshold"),
        ({"score": "best"}, {"P": 1}, "parameter score"),
        ({"penalty": 0.0}, {"X": 1}, "parameter penalty"),
        ({"scale": "minmax"}, {"X": 1}, "parameter scale"),
    ],
)
def test_what_cannot_be_asked_is_refused(settings, data, match):
    X, y, _ = blobs(30)
    P = np.full((30, 3), 1 / 3)
    given = {"X": X if "X" in data else None, "pred_probs": P if "P" in data else None}
    given["groups"] = np.arange(30) if "groups" in data else None
    with pytest.raises(MakedoInputError, match=match):
        LabelIssueFinder(**settings).fit(y=y, **given)


def test_bad_probabilities_are_refused():
    P, y = probabilities()
    for bad, labels, match in (
        (np.where(P == P[3, 1], np.nan, P), y, "1 number that are NaN|1 number"),
        (P[:-1], y, "60 labels"),
        (P[:, :2], y, "pred_probs has 2 columns, y has 4 classes"),
        (P, [None, *y[1:]], "without a label"),
        (P[:, :, None], y, r"a column for each class. Got shape \(60, 4, 1\)"),
    ):
        with pytest.raises(MakedoInputError, match=match):
            LabelIssueFinder().fit(y=labels, pred_probs=bad)
    with pytest.raises(MakedoInputError, match="one column for each column of y|shape"):
        LabelIssueFinder(targets="soft").fit(y=P, pred_probs=P[:, :3])


def test_several_labels_have_no_derivative_of_their_own():
    X, y, _ = blobs(30)
    Y = np.stack([y == 0, y > 0, y == 2], axis=1).astype(int)
    with pytest.raises(MakedoInputError, match="each is scored. Take one of 'margin'"):
        LabelIssueFinder("ensemble", outer_loss="squared").fit(X, Y)
