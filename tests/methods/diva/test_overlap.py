"""Rows that are learnt from and judge as well are pointed out; those alike by chance are not."""

import warnings

import numpy as np
import pandas as pd
import pytest

from makedo import DatasetDerivative, DivaReweighter, DivaSelector
from makedo.core.checks import MakedoWarning
from makedo.methods.diva import overlap, page
from makedo.methods.diva.rows import Blocks, Rows, Scaler


def numbers(n, seed=0, n_features=5):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    return rng.normal(size=(n, n_features)) + y[:, None], y


X, Y = numbers(300)
NEW, NEW_Y = numbers(40, seed=1)
MIXED = np.vstack([NEW[:30], X[[7, 200]], NEW[30:]])
MIXED_Y = np.r_[NEW_Y[:30], Y[[7, 200]], NEW_Y[30:]]
SAYS = r"2 of 42 rows of X_val stand among the training rows too \(first: row 30\)"


def rows_of(X, size=None):
    scaler = Scaler(np.zeros(X.shape[1]), np.ones(X.shape[1]))
    return Rows(Blocks(X, X.dtype, size), scaler, True)


@pytest.mark.parametrize(
    "fit",
    [
        lambda **given: DatasetDerivative(1.0).fit(X, Y, **given),
        lambda **given: DivaSelector(penalty=1.0).fit(X, Y, **given),
        lambda **given: DivaReweighter(penalty=1.0, n_steps=1).fit(X, Y, **given),
        lambda **given: DatasetDerivative(1.0).diagnose(X, Y, **given),
    ],
    ids=["derivative", "selector", "reweighter", "diagnose"],
)
def test_trusted_rows_that_are_learnt_from_are_pointed_out(fit):
    with pytest.warns(MakedoWarning, match=SAYS):
        fit(X_val=MIXED, y_val=MIXED_Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(X_val=NEW, y_val=NEW_Y)


def test_rows_to_test_on_that_are_learnt_from_are_pointed_out():
    model = DatasetDerivative(1.0).fit(X, Y)
    with pytest.warns(MakedoWarning, match="2 of 42 rows of the test stand"):
        page.report(model, MIXED, MIXED_Y)


def test_precision_blocks_and_the_sign_of_zero_do_not_matter():
    X, _ = numbers(50)
    X[:, 0] = 0.0
    expected = overlap.keys(rows_of(X))
    assert len(set(expected.tolist())) == 50
    for other in (X.astype("float32"), -0.0 * X + X, np.asfortranarray(X)):
        np.testing.assert_array_equal(overlap.keys(rows_of(other, 7)), expected)
    negative = X.copy()
    negative[:, 0] = -0.0
    np.testing.assert_array_equal(overlap.keys(rows_of(negative)), expected)
    turned = X[:, [1, 0, 2, 3, 4]]
    assert not set(overlap.keys(rows_of(turned)).tolist()) & set(expected.tolist())


def test_the_same_rows_of_a_file_and_of_a_table_are_found(tmp_path):
    np.save(tmp_path / "x.npy", X.astype("float32"))
    with pytest.warns(MakedoWarning, match=SAYS):
        DatasetDerivative(1.0).fit(tmp_path / "x.npy", Y, X_val=MIXED, y_val=MIXED_Y)
    frame, other = (pd.DataFrame(part, columns=list("abcde")) for part in (X, MIXED))
    frame["colour"], other["colour"] = "red", "red"
    frame.loc[::2, "colour"] = "blue"
    other.loc[31, "colour"] = "blue"  # row 200 is blue, row 7 red
    with pytest.warns(MakedoWarning, match=SAYS):
        DatasetDerivative(1.0).fit(frame, Y, X_val=other, y_val=MIXED_Y)


@pytest.mark.parametrize("seed", range(20))
def test_rows_that_are_alike_by_chance_are_not(seed):
    """Few values in few columns: more than half of the rows have a twin somewhere."""
    draw = np.random.default_rng(seed)
    X, y = draw.integers(0, 3, (700, 5)).astype(float), draw.integers(0, 2, 700)
    twins = np.isin(*map(overlap.keys, (rows_of(X[500:]), rows_of(X[:500])))).mean()
    assert twins > 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DatasetDerivative(1.0).fit(X[:500], y[:500], X_val=X[500:], y_val=y[500:])


def test_what_is_learnt_of_scales_comes_from_training_rows_alone():
    plain = DatasetDerivative(scale="standardize").fit(X, Y)
    far = DatasetDerivative(scale="standardize").fit(X, Y, X_val=1e3 * NEW + 7, y_val=NEW_Y)
    for name in ("mean_", "scale_", "penalty_", "coef_"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(far, name))
