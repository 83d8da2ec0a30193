"""What y may hold, how it is told apart, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from makedo import DatasetDerivative
from makedo.core.checks import MakedoInputError
from makedo.methods.diva.targets import match_targets, read_targets

CODES = np.arange(12) % 3
NAMES = np.array(["cat", "dog", "eel"])[CODES]


@pytest.mark.parametrize(
    "y",
    [
        CODES,
        CODES.astype(float),
        CODES.tolist(),
        pd.Series(CODES, index=range(50, 62)),
        torch.tensor(CODES),
        torch.tensor(CODES.astype("float32")),
        NAMES,
        NAMES.tolist(),
        pd.Series(NAMES),
        pd.Series(NAMES, dtype="category"),
        CODES[:, None],
    ],
)
@pytest.mark.filterwarnings("ignore:A column-vector y")
def test_classes_come_in_many_forms(y):
    targets = read_targets("A", y, 12)
    assert targets.kind == "classes" and targets.codes.tolist() == CODES.tolist()
    np.testing.assert_array_equal(targets.Y, np.eye(3)[CODES])


@pytest.mark.parametrize("y", [CODES > 0, (CODES > 0).tolist(), pd.Series(CODES > 0)])
def test_true_and_false_are_two_classes(y):
    targets = read_targets("A", y, 12)
    assert targets.kind == "classes" and targets.names.tolist() == [False, True]


@pytest.mark.parametrize(
    ("kind", "y"),
    [
        ("values", CODES + 0.5),
        ("values", torch.rand(12)),
        ("values", np.stack([CODES, CODES + 0.5], axis=1)),
        ("values", pd.DataFrame({"a": CODES, "b": CODES})),
        ("multilabel", np.stack([CODES > 0, CODES < 2], axis=1)),
        ("multilabel", pd.DataFrame({"a": CODES > 0, "b": CODES < 2}).astype(int)),
        ("soft", np.vstack([np.full((11, 4), 0.25), np.eye(4)[:1]])),
        ("soft", np.eye(3)[CODES]),
        ("values", np.arange(12.0) * 7 % 60 + 1e-9),
    ],
)
def test_numbers_and_labels_are_told_apart(kind, y):
    targets = read_targets("A", y, 12)
    assert targets.kind == kind and targets.Y.shape == (12, np.asarray(y).reshape(12, -1).shape[1])
    if isinstance(y, pd.DataFrame):
        assert targets.names.tolist() == ["a", "b"]


def test_many_whole_numbers_are_values_if_floats_and_refused_if_integers():
    y = np.arange(100) * 3
    assert read_targets("A", y.astype(float), 100).kind == "values"
    with pytest.raises(MakedoInputError, match='100 different whole numbers.*targets="values"'):
        read_targets("A", y, 100)
    assert read_targets("A", y, 100, "values").kind == "values"
    assert read_targets("A", y, 100, "classes").kind == "classes"
    assert read_targets("A", np.arange(1000) % 60, 1000).kind == "classes"


@pytest.mark.parametrize(
    ("y", "match"),
    [
        ([*NAMES[:11], None], "1 row of 12 without a label .first: row 11"),
        ([*CODES[:11] + 0.5, np.nan], "1 row of 12 without a label"),
        ([-1, *CODES[:11]], "1 row of 12 without a label .first: row 0"),
        (NAMES[:11], "11 labels, X has 12 rows"),
        (CODES[:11] + 0.5, "11 labels, X has 12 rows"),
        (["a"] * 12, "two classes are needed"),
        ([0.5] * 12, "all 12 labels are 0.5"),
        (np.tile([1, 0, 1], (12, 1)), "all 12 labels are 1, 0, 1: there is nothing to learn"),
        (np.tile([0.5, 0.5], (12, 1)), "all 12 labels are 0.5, 0.5"),
        ([*CODES[:11] + 0.5, 1e200], "the largest number in y is 1e.200; its square is too large"),
        (pd.date_range("2020-01-01", periods=12).repeat(2)[:12], "y holds dates or times"),
        (3, "one label a row. Got one int"),
        ("kind", "one label a row. Got one str"),
        ([["a"], ["b", "c"]] * 6, "MultiLabelBinarizer"),
        ([*CODES[:11] + 0.5, np.inf], "infinite"),
        (np.stack([NAMES, NAMES], axis=1), "must stand in one column"),
        (None, "y to be passed"),
    ],
)
def test_bad_targets_are_refused_in_a_sentence(y, match):
    with pytest.raises(MakedoInputError, match=match):
        read_targets("A", y, 12)


@pytest.mark.parametrize(
    ("kind", "y", "match"),
    [
        ("multilabel", np.full((12, 2), 0.5), "columns of 0 and 1"),
        ("soft", np.full((12, 2), 0.4), "sum to 1"),
        ("soft", np.tile([1.5, -0.5], (12, 1)), "not negative"),
        ("values", NAMES, "not numbers"),
    ],
)
def test_targets_that_are_not_what_was_said_are_refused(kind, y, match):
    with pytest.raises(MakedoInputError, match=match):
        read_targets("A", y, 12, kind)


def test_other_rows_must_have_the_same_classes_or_columns():
    like = read_targets("A", NAMES, 12)
    assert match_targets("A", ["eel", "cat"], 2, like).codes.tolist() == [2, 0]
    with pytest.raises(MakedoInputError, match="1 label of 2 name classes .* 'fox'"):
        match_targets("A", ["eel", "fox"], 2, like)
    with pytest.raises(MakedoInputError, match="without a label"):
        match_targets("A", ["eel", None], 2, like)
    values = read_targets("A", np.random.default_rng(0).random((12, 2)), 12)
    with pytest.raises(MakedoInputError, match="3 columns, training has 2"):
        match_targets("A", np.random.default_rng(0).random((4, 3)), 4, values)


def test_what_y_held_decides_what_is_predicted():
    X = np.random.default_rng(0).normal(size=(12, 2))
    X[:, 0] += 3 * (CODES == 0)
    names = DatasetDerivative().fit(X, NAMES)
    assert set(names.predict(X)) <= set(NAMES) and names.classes_.tolist() == sorted(set(NAMES))
    labels = DatasetDerivative(targets="multilabel").fit(X, np.eye(3)[CODES])
    assert labels.kind_ == "multilabel" and set(labels.predict(X).ravel()) <= {0, 1}
    assert not hasattr(labels, "classes_")
    shares = DatasetDerivative().fit(X, np.eye(3)[CODES])
    assert shares.kind_ == "soft" and shares.predict(X).shape == (12, 3)
    np.testing.assert_allclose(shares.gradient_, names.gradient_, atol=1e-12)
    number = DatasetDerivative().fit(X, CODES + 0.5)
    assert number.predict(X).shape == (12,) and number.decision_function(X).shape == (12, 1)
    names.fit(X, CODES + 0.5)
    assert not hasattr(names, "classes_")


@pytest.mark.parametrize("kind", ["Float64", "object", "double[pyarrow]"])
def test_numbers_are_numbers_whatever_holds_them(kind):
    y = np.random.default_rng(0).normal(size=12)
    assert read_targets("A", pd.Series(y, dtype=kind), 12).kind == "values"
    assert read_targets("A", [Fraction(v) for v in y], 12).kind == "values"
    with pytest.raises(MakedoInputError, match="1 row of 12 without a label"):
        read_targets("A", pd.Series([None, *y[1:]], dtype=kind), 12)


def test_sparse_columns_of_labels_are_read():
    Y = np.random.default_rng(0).integers(0, 2, (12, 3))
    found = read_targets("A", sp.csr_matrix(Y), 12)
    assert found.kind == "multilabel" and (found.Y == Y).all()


# --- shares that do not add up -------------------------------------------------------------------

SHARES = np.random.default_rng(0).dirichlet([1, 1, 1], 12)


def test_shares_may_be_rounded():
    assert read_targets("A", SHARES.round(2) + [0.003, 0, 0], 12).kind == "soft"
    assert read_targets("A", SHARES.round(3), 12, "soft").kind == "soft"


@pytest.mark.parametrize("wrong", [slice(5, 6), slice(None)])
def test_shares_that_do_not_add_up_are_neither_shares_nor_numbers(wrong):
    Y = SHARES.copy()
    Y[wrong] *= 0.9
    start, n = (5, "1 row") if wrong.start else (0, "12 rows")
    with pytest.raises(MakedoInputError, match=f"{n} of 12 in y.*row {start}, 0.9.*by its sum"):
        read_targets("A", Y, 12)
    assert read_targets("A", Y, 12, "values").kind == "values"
    with pytest.raises(MakedoInputError, match="sum to 1"):
        read_targets("A", Y, 12, "soft")


def test_two_numbers_between_0_and_1_are_numbers():
    for seed in range(20):
        Y = np.random.default_rng(seed).random((60, 2))
        assert read_targets("A", Y, 60).kind == "values"


# --- the columns of other rows -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["values", "multilabel", "soft"])
def test_columns_of_other_rows_are_found_by_name(kind):
    Y = {"values": 2 + SHARES, "multilabel": (SHARES > 0.3).astype(int), "soft": SHARES}[kind]
    frame = pd.DataFrame(Y, columns=["red", "round", "ripe"])
    like = read_targets("A", frame, 12)
    assert like.kind == kind
    other = frame[["ripe", "red", "round"]]
    np.testing.assert_array_equal(match_targets("A", other, 12, like).Y, Y)
    np.testing.assert_array_equal(match_targets("A", Y, 12, like).Y, Y)  # by position
    with pytest.raises(MakedoInputError, match="called 'soft', 'round', 'ripe', those of training"):
        match_targets("A", frame.rename(columns={"red": "soft"}), 12, like)
    X = np.random.default_rng(1).normal(size=(12, 2))
    model = DatasetDerivative(1.0).fit(X, frame)
    assert model.score(X, other) == model.score(X, frame)


def test_a_pool_or_validation_set_may_hold_one_number():
    X = np.random.default_rng(1).normal(size=(12, 2))
    model = DatasetDerivative(1.0).fit(X, X[:, 0], X_val=X[:3] + 1, y_val=[0.5, 0.5, 0.5])
    assert model.score_pool(X[:1] + 2, [0.25]).shape == (1,)
