"""The estimator: what it takes, what it refuses, what it keeps, and how it streams."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from torch.utils.data import DataLoader, TensorDataset

import makedo
from makedo import DatasetDerivative
from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.streams import ParquetMatrix

ANSWERS = ("gradient_", "leverage_", "loo_predictions_", "penalty_")
NAMES = np.array(["ash", "birch", "cedar"])


def problem(n=60, n_features=4, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 3
    X = rng.normal(size=(n, n_features))
    X[:, :3] += 1.5 * np.eye(3)[codes]
    return X, NAMES[codes]


X, Y = problem()
NEW, NEW_Y = problem(12, seed=1)


def assert_same(model, other, rtol=1e-9, atol=1e-12):
    for name in ANSWERS:
        np.testing.assert_allclose(getattr(model, name), getattr(other, name), rtol=rtol, atol=atol)
    np.testing.assert_allclose(
        model.score_pool(NEW, NEW_Y), other.score_pool(NEW, NEW_Y), rtol=10 * rtol, atol=atol
    )


# --- containers -----------------------------------------------------------------------------------


def write_parquet(path, kind, X=X, y=Y):
    if kind == "lists":
        table = pa.table({"embedding": X.tolist(), "tree": y.tolist()})
    else:
        table = pa.table({f"c{i}": X[:, i] for i in range(X.shape[1])} | {"tree": y.tolist()})
    pq.write_table(table, path, row_group_size=13)
    return path


@pytest.fixture(params=["npy", "float16 npy", "fortran npy", "csr", "loader", "lists", "columns"])
def contained(request, tmp_path):
    """X and y in another container, and what it should equal."""
    kind, given = request.param, X
    if "npy" in kind:
        given = X.astype("float16") if "float16" in kind else X
        np.save(tmp_path / "x.npy", np.asfortranarray(given) if "fortran" in kind else given)
        return np.load(tmp_path / "x.npy", mmap_mode="r"), Y, given
    if kind == "csr":
        given = np.where(np.abs(X) > 0.8, X, 0)
        return sp.csr_matrix(given), Y, given
    if kind == "loader":
        codes = torch.from_numpy(np.unique(Y, return_inverse=True)[1])
        return DataLoader(TensorDataset(torch.from_numpy(X), codes), batch_size=7), None, X
    return ParquetMatrix(write_parquet(tmp_path / "x.parquet", kind)), Y, X


@pytest.mark.parametrize("groups", [None, np.arange(60) // 4])
@pytest.mark.parametrize("block_size", [None, 11])
def test_one_answer_whatever_holds_the_rows(contained, groups, block_size):
    rows, y, dense = contained
    model = DatasetDerivative(block_size=block_size).fit(rows, y, groups=groups)
    reference = DatasetDerivative().fit(dense.astype(float), Y, groups=groups)
    codes = np.unique(NEW_Y, return_inverse=True)[1]
    for name in ANSWERS:
        np.testing.assert_allclose(
            getattr(model, name), getattr(reference, name), rtol=1e-9, atol=1e-12
        )
    np.testing.assert_allclose(
        model.score_pool(NEW, codes if y is None else NEW_Y),
        reference.score_pool(NEW, NEW_Y),
        rtol=1e-9,
    )
    np.testing.assert_allclose(model.effect("remove", [3]), reference.effect("remove", [3]))
    np.testing.assert_allclose(model.decision_function(rows), reference.decision_function(dense))


def test_one_answer_where_the_file_is_a_validation_set_or_a_pool(tmp_path):
    path = write_parquet(tmp_path / "v.parquet", "lists", NEW, NEW_Y)
    model = DatasetDerivative(block_size=5).fit(X, Y, X_val=path, y_val="tree")
    reference = DatasetDerivative().fit(X, Y, X_val=NEW, y_val=NEW_Y)
    assert_same(model, reference)
    np.testing.assert_allclose(
        model.score_pool(path, NEW_Y), reference.score_pool(NEW, NEW_Y), rtol=1e-9
    )


@pytest.mark.parametrize("wrap", ["pandas", "polars", "arrow", "path"])
def test_labels_and_groups_may_be_columns_of_the_table(wrap, tmp_path):
    groups = np.arange(60) // 4
    frame = pd.DataFrame(X, columns=list("abcd")).assign(tree=Y, patient=groups)
    frame = frame.astype(dict.fromkeys("abcd", "float32"))
    if wrap == "polars":
        table = pytest.importorskip("polars").from_pandas(frame)
    elif wrap == "arrow":
        table = pa.Table.from_pandas(frame)
    elif wrap == "path":
        table = tmp_path / "x.parquet"
        frame.to_parquet(table)
    else:
        table = frame
    model = DatasetDerivative().fit(table, "tree", groups="patient")
    reference = DatasetDerivative().fit(X.astype("float32"), Y, groups=groups)
    for name in ANSWERS:
        np.testing.assert_allclose(getattr(model, name), getattr(reference, name), rtol=1e-7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # both columns are known to be no features
        assert (model.predict(table) == reference.predict(X)).all()
        np.testing.assert_allclose(
            model.score_pool(table), reference.score_pool(X, Y), rtol=1e-4, atol=1e-7
        )


class HuggingFace:
    """What a datasets.Dataset shows of itself."""

    def __init__(self, table):
        self.table, self.column_names = table, table.column_names

    def with_format(self, name):
        assert name == "arrow"
        return self

    def __getitem__(self, rows):
        return self.table[rows] if rows != slice(None) else self.table


def test_a_hugging_face_data_set_is_read_by_its_arrow_table():
    data = HuggingFace(pa.table({"embedding": X.tolist(), "tree": Y.tolist()}))
    model = DatasetDerivative().fit(data, "tree")
    reference = DatasetDerivative().fit(X.astype("float32"), Y)
    np.testing.assert_allclose(model.gradient_, reference.gradient_, rtol=1e-7, atol=1e-10)


def test_ids_of_a_frame_are_kept():
    frame = pd.DataFrame(X, index=[f"id{i}" for i in range(60)], columns=list("abcd"))
    assert DatasetDerivative().fit(frame, Y).ids_.tolist() == list(frame.index)
    assert DatasetDerivative().fit(X, Y).ids_.tolist() == list(range(60))


# --- streaming (oracle 11) and precision (trap 13) ------------------------------------------------


def test_a_memory_map_is_never_read_as_a_whole(tmp_path):
    big = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "float32", (60_000, 100))
    rng = np.random.default_rng(0)
    big[:] = rng.normal(size=big.shape)
    y = (big[:, 0] > 0).astype(int)
    del big
    code = (
        "import sys, tracemalloc, numpy as np; from makedo import DatasetDerivative\n"
        "X, y = np.load(sys.argv[1], mmap_mode='r'), np.load(sys.argv[2])\n"
        "DatasetDerivative(1.0, dtype='float32').fit(X[:100], y[:100])\n"
        "tracemalloc.start(); DatasetDerivative(1.0, dtype='float32', block_size=500).fit(X, y)\n"
        "print(tracemalloc.get_traced_memory()[1])"
    )
    np.save(tmp_path / "y.npy", y)
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "x.npy", tmp_path / "y.npy"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    held = 60_000 * 8 * 35  # some numbers a row: targets, fitted values, residuals, derivatives
    assert int(run.stdout) < held + 5e6 < 24e6, run.stdout


@pytest.mark.parametrize("valid", [False, True])
@pytest.mark.parametrize("groups", [None, np.arange(900) // 3])
def test_float32_is_right_to_a_thousandth(valid, groups):
    rng = np.random.default_rng(0)
    X, y = problem(1100, 60)
    X = X @ rng.normal(size=(60, 60)) + 3  # correlated, far from zero
    val = {"X_val": X[900:], "y_val": y[900:]} if valid else {}
    X, y = X[:900], y[:900]
    fine = DatasetDerivative().fit(X, y, groups=groups, **val)
    coarse = DatasetDerivative(dtype="float32").fit(X, y, groups=groups, **val)
    assert coarse.penalty_ == pytest.approx(fine.penalty_, rel=1e-3)
    for name in ("gradient_", "leverage_", "loo_predictions_"):
        exact = getattr(fine, name)
        error = np.abs(getattr(coarse, name) - exact).max()
        assert error < 1e-3 * np.abs(exact).max(), name
    exact = fine.effect("remove", [0, 9])
    np.testing.assert_allclose(coarse.effect("remove", [0, 9]), exact, rtol=1e-2, atol=1e-6)


def test_sums_of_a_badly_conditioned_float32_matrix_are_exact_enough():
    """Condition number 1e7: sums over blocks are float64 whatever the blocks are."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(4000, 8)) * np.geomspace(1, 3e-4, 8)).astype("float32")
    y = X @ (1 / np.geomspace(1, 3e-4, 8)) + rng.normal(size=4000)
    fine, coarse = (DatasetDerivative(1e-4, dtype=d).fit(X, y) for d in ("float64", "float32"))
    np.testing.assert_allclose(coarse.coef_, fine.coef_, rtol=1e-2)
    assert np.corrcoef(coarse.gradient_, fine.gradient_)[0, 1] > 0.999


# --- speed (oracle 12) ----------------------------------------------------------------------------


def test_the_closed_form_is_far_faster_than_refits():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(2000, 256)), rng.integers(0, 10, 2000)
    targets = np.eye(10)[y]

    def seconds(run):
        times = []
        for _ in range(3):
            started = time.perf_counter()
            run()
            times.append(time.perf_counter() - started)
        return min(times)

    ours = seconds(lambda: DatasetDerivative(100.0).fit(X, y))
    refit = seconds(lambda: Ridge(100.0).fit(X[1:], targets[1:]))
    assert 2000 * refit > 50 * ours


# --- bad input ------------------------------------------------------------------------------------


def refused(match, X=X, y=Y, settings=None, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(MakedoInputError, match=match) as caught:
            DatasetDerivative(**(settings or {"penalty": 1.0})).fit(X, y, **more)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_weights_that_are_no_weights_are_refused():
    ones = np.ones(60)
    refused("all sample weights are zero", sample_weight=0 * ones)
    refused(r"1 weight of 60 negative or not finite \(first: row 3, -1\)",
            sample_weight=np.where(np.arange(60) == 3, -1, 1))  # fmt: skip
    refused("1 weight of 60 negative or not finite", sample_weight=np.append(ones[1:], np.nan))
    refused(r"sample_weight has shape \(59,\), X has 60 rows", sample_weight=ones[1:])


def test_lengths_that_do_not_match_are_refused():
    refused("59 labels, X has 60 rows", y=Y[1:])
    refused("groups names 59 groups, X has 60 rows", groups=np.arange(59))
    refused("11 labels, X has 12 rows", X_val=NEW, y_val=NEW_Y[1:])
    model = DatasetDerivative(1.0).fit(X, Y)
    with pytest.raises(MakedoInputError, match="11 labels, X has 12 rows"):
        model.score_pool(NEW, NEW_Y[1:])


def test_a_pool_or_validation_set_of_another_width_is_refused():
    refused("X has 3 columns, fit saw 4", X_val=NEW[:, 1:], y_val=NEW_Y)
    model = DatasetDerivative(1.0).fit(X, Y)
    with pytest.raises(MakedoInputError, match="X has 3 columns, fit saw 4"):
        model.score_pool(NEW[:, 1:], NEW_Y)
    with pytest.raises(MakedoInputError, match="X has 5 columns, fit saw 4"):
        model.predict(np.hstack([NEW, NEW[:, :1]]))


def test_a_class_that_only_the_validation_set_has_is_refused():
    refused("1 label of 12 name classes that are not in training .first: 'yew'",
            X_val=NEW, y_val=[*NEW_Y[1:], "yew"])  # fmt: skip
    model = DatasetDerivative(1.0).fit(X, Y)
    with pytest.raises(MakedoInputError, match="'yew'"):
        model.score_pool(NEW, [*NEW_Y[1:], "yew"])


def test_half_a_validation_set_is_refused():
    refused("X_val comes without labels", X_val=NEW)
    refused("labels without rows. Give X_val too", y_val=NEW_Y)
    refused("X_val has no rows", X_val=NEW[:0], y_val=NEW_Y[:0])
    refused("1 row of 12 without a label", X_val=NEW, y_val=[None, *NEW_Y[1:]])


def test_gaps_in_features_and_labels_are_refused(tmp_path):
    gap = X.copy()
    gap[5, 2] = np.nan
    refused("1 NaN or infinite value.*Impute", X=gap)
    refused(r"first: row 5, column 2", X=write_parquet(tmp_path / "x.parquet", "lists", gap))
    refused("1 row of 60 without a label", y=[None, *Y[1:]])
    refused("X has 1 NaN", X_val=gap, y_val=Y)


def test_groups_that_cannot_be_left_out_are_refused():
    refused("all weight lies on one group", groups=["a"] * 60)
    half = np.arange(60) // 30
    refused("all weight lies on one group", groups=half, sample_weight=half)
    refused("1 row without a group .first: row 59", groups=[*map(str, range(59)), None])
    refused("1 row without a group .first: row 59", groups=[*map(str, range(59)), np.nan])
    refused("no column 'g' for groups", X=pd.DataFrame(X, columns=list("abcd")), groups="g")


def test_constant_columns_are_pointed_out_and_change_nothing():
    flat = np.hstack([X[:, :2], np.full((60, 1), 7.3), X[:, 2:]])
    with pytest.warns(MakedoWarning, match=r"1 feature of 5 constant \(first: column 2\)"):
        model = DatasetDerivative(1.0, scale=None).fit(flat, Y)
    reference = DatasetDerivative(1.0, scale=None).fit(X, Y)
    np.testing.assert_allclose(model.gradient_, reference.gradient_, rtol=1e-8)
    for scale in ("rms", "standardize", None):
        refused("4 features, all constant", X=np.full(X.shape, 3.1), settings={"scale": scale})


def test_a_class_of_one_sample_is_pointed_out():
    y = Y.copy()
    y[8] = "yew"
    with pytest.warns(MakedoWarning, match=r"1 class with one sample \(first: 'yew'\)"):
        DatasetDerivative(1.0).fit(X, y)


def test_a_class_that_is_left_out_with_its_only_group_is_pointed_out():
    groups = np.where(Y == "ash", 0, np.arange(60))
    with pytest.warns(MakedoWarning, match=r"1 class with one group \(first: 'ash'\)"):
        DatasetDerivative(1.0).fit(X, Y, groups=groups)


def test_weight_on_one_class_alone_is_pointed_out():
    with pytest.warns(MakedoWarning, match=r"all weight lies on one class \('ash'\)"):
        DatasetDerivative(1.0).fit(X, Y, sample_weight=Y == "ash")


@pytest.mark.parametrize("scale", ["rms", "standardize", None])
def test_numbers_whose_squares_overflow_are_refused(scale):
    huge = X * [1, 1, 1e200, 1]
    refused(r"1 feature of 4 with numbers whose squares.*first: column 2", X=huge,
            settings={"scale": scale})  # fmt: skip
    refused("first: column 2", X=X * [1, 1, 1e60, 1], settings={"scale": scale, "dtype": "float32"})


def test_half_precision_that_overflowed_is_refused():
    with np.errstate(over="ignore"):
        refused("X has 60 NaN or infinite values in 1 column .first: 2",
                X=(X * [1, 1, 1e30, 1]).astype("float16"))  # fmt: skip


def test_a_sample_that_only_its_own_label_decides_is_named():
    alone = np.zeros((60, 1))
    alone[17] = 1e3
    frame = pd.DataFrame(np.hstack([X, alone]), index=[f"id{i}" for i in range(60)])
    frame.columns = list("abcde")
    settings = {"scale": None, "fit_intercept": False}
    with pytest.raises(MakedoInputError, match=r"1 sample \(first: 'id17'\) decided by its own"):
        DatasetDerivative(1e-6, **settings).fit(frame, Y)
    with pytest.warns(MakedoWarning, match="'id17'.*Raise the penalty"):
        model = DatasetDerivative(2e-3, **settings).fit(frame, Y)
    assert np.isfinite(model.gradient_).all() and np.abs(model.loo_predictions_).max() < 1e3
    DatasetDerivative(**settings).fit(frame, Y)  # such penalties are not chosen


def test_a_group_that_only_its_own_labels_decide_is_named():
    alone = np.zeros((60, 1))
    alone[[17, 18]] = 1e3  # neither alone: each has the other
    rows, groups = np.hstack([X, alone]), np.where(np.arange(60) == 17, 18, np.arange(60))
    settings = {"scale": None, "fit_intercept": False}
    assert DatasetDerivative(1e-6, **settings).fit(rows, Y).leverage_[17] < 0.6
    with pytest.raises(MakedoInputError, match=r"\(first: 17, 18\) decided"):
        DatasetDerivative(1e-6, **settings).fit(rows, Y, groups=groups)
    DatasetDerivative(**settings).fit(rows, Y, groups=groups)  # such penalties are not chosen


def test_a_group_whose_square_would_fill_the_memory_is_refused():
    n = 10_002
    rows, y = np.arange(2.0 * n).reshape(n, 2), np.arange(n) % 2
    refused(
        "a group has 10,001 rows; at most 10,000.*as X_val",
        X=rows,
        y=y,
        groups=np.arange(n) // 10_001,
    )


def test_float32_that_is_too_coarse_is_pointed_out():
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(500, 6)) * np.geomspace(1, 1e-4, 6)).astype("float32")
    y = (features / np.geomspace(1, 1e-4, 6)).sum(1)
    turned = features @ np.linalg.qr(rng.normal(size=(6, 6)))[0].astype("float32")
    with pytest.warns(MakedoWarning, match="float32 is too coarse.*float64"):
        DatasetDerivative(1e-4, scale=None, dtype="float32").fit(turned, y)
    DatasetDerivative(1e-4, scale=None).fit(turned, y)
    DatasetDerivative(1.0, scale=None, dtype="float32").fit(turned, y)


def test_without_penalty_on_a_single_sample_nothing_is_known_of_it():
    weights = np.zeros(60)
    weights[4] = 1
    refused(r"1 sample \(first: 4\) decided by its own label", sample_weight=weights)


def test_what_is_no_parameter_value_is_refused():
    for name, value in [("penalty", 0.0), ("penalty", -1), ("penalty", "cv"), ("dtype", "float16"),
                        ("outer_loss", "hinge"), ("block_size", 0), ("scale", "max")]:  # fmt: skip
        refused(f"parameter {name} must be", settings={name: value})


def test_everything_asks_for_a_fit_first(tmp_path):
    model = DatasetDerivative()
    for call in (
        lambda: model.effect(),
        lambda: model.cross_gradient(),
        lambda: model.score_pool(X, Y),
        lambda: model.decision_function(X),
        lambda: model.predict(X),
        lambda: model.score(X, Y),
        lambda: model.evaluate(X, Y),
        lambda: model.report(),
        lambda: model.save(tmp_path / "m"),
    ):
        with pytest.raises(NotFittedError):
            call()


# --- judging --------------------------------------------------------------------------------------


def test_evaluate_compares_with_a_constant():
    model = DatasetDerivative().fit(X, Y)
    table = model.evaluate(NEW, NEW_Y).set_index("candidate")
    right = 100 * (model.predict(NEW) == NEW_Y).mean()
    assert table["mean"]["ridge head"] == pytest.approx(right) and table["n"].tolist() == [12, 12]
    assert table["mean"]["constant"] == pytest.approx(100 * (NEW_Y == Y[0]).mean())
    assert model.score(NEW, NEW_Y) == pytest.approx(right / 100)


def test_evaluate_of_numbers_is_r_squared():
    w = np.array([1.0, -2, 0.5, 0])
    y, new_y = X @ w + 0.1 * Y.argsort(), NEW @ w
    model = DatasetDerivative().fit(X, y)
    error = model.predict(NEW) - new_y
    expected = 1 - (error**2).sum() / ((new_y - new_y.mean()) ** 2).sum()
    assert model.score(NEW, new_y) == pytest.approx(expected)
    table = model.evaluate(NEW, np.append(new_y[:-1], np.nan)).set_index("candidate")
    assert table["n"].tolist() == [11, 11] and table["mean"]["constant"] <= 0
    two = DatasetDerivative().fit(X, np.stack([y, np.where(X[:, 0] > 0, 7.0, 7.5)], 1))
    one = two.evaluate(NEW, np.stack([new_y, np.full(12, 7.0)], 1))  # a column that never changes
    assert one["mean"][1] == pytest.approx(model.evaluate(NEW, new_y)["mean"][1], abs=0.01)


def test_evaluate_of_several_labels_is_the_share_of_right_ones():
    labels = np.stack([X[:, 0] > 0, X[:, 1] > 0.5], axis=1).astype(int)
    model = DatasetDerivative().fit(X, labels)
    truth = np.stack([NEW[:, 0] > 0, NEW[:, 1] > 0.5], axis=1).astype(float)
    assert model.score(NEW, truth) == pytest.approx((model.predict(NEW) == truth).mean())
    truth[0] = np.nan
    assert model.evaluate(NEW, truth)["n"].tolist() == [11, 11]
    for bad, match in (
        (truth[:, :1], "12 rows and 2 columns"),
        (truth[1:], "12 rows"),
        (truth * np.nan, "no row has a label"),
        ([["a", "b"]] * 12, "not numbers"),
    ):
        with pytest.raises(MakedoInputError, match=match):  # fmt: skip
            model.evaluate(NEW, bad)


# --- keeping --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["tall", "wide"])
@pytest.mark.parametrize("how", ["one", "groups", "validation"])
def test_a_loaded_model_scores_a_pool_and_says_what_it_cannot(tmp_path, shape, how):
    X, y = problem(60 if shape == "tall" else 18, 4 if shape == "tall" else 40)
    new, new_y = problem(9, X.shape[1], seed=1)
    more = {"groups": np.arange(len(X)) // 2} if how == "groups" else {}
    more |= {"X_val": new, "y_val": new_y} if how == "validation" else {}
    model = DatasetDerivative().fit(X, y, **more)
    model.save(tmp_path / "m")
    loaded = makedo.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.score_pool(new, new_y), model.score_pool(new, new_y))
    np.testing.assert_array_equal(loaded.effect(indices=[1]), model.gradient_[[1]])
    assert loaded.evaluate(new, new_y).equals(model.evaluate(new, new_y))
    for call in (lambda: loaded.effect("remove"), lambda: loaded.cross_gradient([1])):
        with pytest.raises(MakedoInputError, match="needs the training rows.*Call fit again"):
            call()
    card = (tmp_path / "m" / "README.md").read_text()
    assert "Neither holds features of rows" in card


def test_a_model_of_a_table_and_of_numbers_comes_back(tmp_path):
    frame = pd.DataFrame(X, columns=list("abcd")).assign(kind=Y)
    model = DatasetDerivative().fit(frame, X[:, 0] + X[:, 1] ** 2)
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(makedo.load(tmp_path / "m").predict(frame), model.predict(frame))


def square(F, Y):
    return ((F - Y) ** 2).sum(1), 2 * (F - Y)


def test_a_loss_of_ones_own_is_cloned_and_handed_back(tmp_path):
    model = DatasetDerivative(1.0, outer_loss=square)
    assert clone(model).outer_loss is square
    model.fit(X, Y)
    assert_same(model, DatasetDerivative(1.0).fit(X, Y))
    model.save(tmp_path / "m")
    with pytest.raises(MakedoInputError, match=r"outer_loss was the function square.*load\(path"):
        makedo.load(tmp_path / "m")
    loaded = makedo.load(tmp_path / "m", outer_loss=square)
    np.testing.assert_array_equal(loaded.score_pool(NEW, NEW_Y), model.score_pool(NEW, NEW_Y))


def test_equal_data_has_an_equal_fingerprint_and_other_data_another():
    first = DatasetDerivative().fit(X, Y).fingerprint_
    assert DatasetDerivative().fit(X.copy(), list(Y)).fingerprint_ == first
    other = X.copy()
    other[0, 0] += 1e-6
    assert DatasetDerivative().fit(other, Y).fingerprint_ != first
    assert DatasetDerivative().fit(X, np.roll(Y, 1)).fingerprint_ != first


# --- without torch --------------------------------------------------------------------------------

BLOCKED = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ImportError("torch is blocked")

sys.meta_path.insert(0, Block())
import numpy as np, tempfile, makedo
import makedo.methods.diva as room

for name in room.__all__:
    getattr(room, name)
rng = np.random.default_rng(0)
X, y = rng.normal(size=(40, 3)), np.arange(40) % 2
model = makedo.DatasetDerivative().fit(X, y)
model.effect("remove"), model.score_pool(X, y), model.evaluate(X, y)
with tempfile.TemporaryDirectory() as folder:
    model.save(folder + "/m")
    makedo.load(folder + "/m").predict(X)
assert "torch" not in sys.modules
"""


def test_the_room_imports_and_runs_with_torch_blocked():
    run = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
