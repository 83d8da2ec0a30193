"""The table encoder and the roles of columns."""

import copy
import json
import time

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import NotFittedError

from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.files import read_batches, read_table
from makedo.data.table import TableEncoder, as_frame, split_columns

TITLES = "graph nodes without edges|learning from few labels|cold start of items|dates in tables"


def mixed(n=60, seed=0):
    """A table with every kind of column."""
    rng = np.random.default_rng(seed)
    words = np.array("graph cold edge node label learn start table date text".split())
    return pd.DataFrame(
        {
            "age": np.where(rng.random(n) < 0.2, np.nan, rng.normal(40, 9, n)),
            "visits": rng.integers(0, 9, n),
            "colour": rng.choice(["red", "green", "blue", None], n),
            "member": rng.choice([True, False], n),
            "title": [" ".join(rng.choice(words, 6)) for _ in range(n)],
            "since": pd.Timestamp("2020-03-01") + pd.to_timedelta(rng.integers(0, 900, n), "D"),
            "vector": list(rng.normal(size=(n, 3))),
            "zip": rng.choice(["007", "012", "900"], n),
        }
    )


def dense(X):
    return X.toarray() if sparse.issparse(X) else X


def encoded(frame, **more):
    encoder = TableEncoder()
    return pd.DataFrame(
        dense(encoder.fit_transform(frame)), columns=encoder.feature_names_out_
    ), encoder


def kinds(encoder):
    return {column["name"]: column["kind"] for column in encoder.columns_}


def through_json(state):
    """The state as a model directory keeps it: JSON, with arrays beside it."""
    arrays = []

    def out(value):
        if isinstance(value, dict):
            return {key: out(item) for key, item in value.items()}
        if isinstance(value, list):
            return [out(item) for item in value]
        if isinstance(value, np.ndarray):
            arrays.append(value.copy())
            return {"array": len(arrays) - 1}
        return value

    def back(value):
        if isinstance(value, dict):
            return (
                arrays[value["array"]]
                if set(value) == {"array"}
                else {k: back(v) for k, v in value.items()}
            )
        return [back(item) for item in value] if isinstance(value, list) else value

    return back(json.loads(json.dumps(out(state))))


# --- kinds and their encoding ----------------------------------------------------------------


def test_each_column_gets_its_kind():
    _, encoder = encoded(mixed())
    assert kinds(encoder) == {
        "age": "number",
        "visits": "number",
        "colour": "category",
        "member": "boolean",
        "title": "text",
        "since": "date",
        "vector": "vector",
        "zip": "category",
    }


def test_numeric_tables_pass_unchanged():
    frame = pd.DataFrame(
        {"a": [1, 2, 3], "b": [0.5, -7.25, 1e6], "same": [4, 4, 4], "yes": [True, False, True]}
    )
    X, encoder = encoded(frame)
    assert X.to_numpy().dtype == np.float32
    np.testing.assert_array_equal(X, frame.astype(np.float32))
    assert not encoder.sparse_


def test_missing_numbers_become_the_median_of_fit_and_are_flagged():
    frame = pd.DataFrame({"a": [1.0, np.nan, 3.0, 100.0], "b": [1, 2, 3, 4]})
    X, encoder = encoded(frame)
    assert list(X) == ["a", "a is missing", "b"]
    np.testing.assert_array_equal(X["a"], [1, 3, 3, 100])
    np.testing.assert_array_equal(X["a is missing"], [0, 1, 0, 0])
    later = encoder.transform(pd.DataFrame({"a": [7.0], "b": [None]}, dtype=float))
    np.testing.assert_array_equal(later, [[7, 0, 2.5]])


def test_numbers_beside_other_kinds_are_standardised():
    X, _ = encoded(mixed())
    visits = mixed()["visits"]
    np.testing.assert_allclose(
        X["visits"], (visits - visits.mean()) / visits.std(ddof=0), rtol=1e-5
    )


def test_categories_are_one_hot_and_missing_is_a_category():
    X, _ = encoded(mixed())
    colour = mixed()["colour"]
    for value in ("red", "green", "blue"):
        np.testing.assert_array_equal(X[f"colour={value}"], colour == value)
    np.testing.assert_array_equal(X["colour is missing"], colour.isna())


def test_rare_categories_are_pooled_and_unknown_ones_join_them():
    values = ["a"] * 500 + ["b"] * 480 + ["c", "d"] * 5 + ["e"] * 10
    X, encoder = encoded(pd.DataFrame({"k": values}))
    assert list(X) == ["k=a", "k=b", "k=e", "k=(other)"]
    assert X["k=(other)"].sum() == 10
    np.testing.assert_array_equal(
        dense(encoder.transform(pd.DataFrame({"k": ["new", "e", "d"]})))[:, 3], [1, 0, 1]
    )


def test_unknown_categories_are_zero_where_nothing_was_pooled():
    _, encoder = encoded(pd.DataFrame({"k": ["a", "b", "a"]}))
    np.testing.assert_array_equal(
        encoder.transform(pd.DataFrame({"k": ["new", None, "b"]})), [[0, 0], [0, 0], [0, 1]]
    )


def test_text_is_the_tf_idf_of_its_words():
    # Second road: the same weights word by word, from their definition.
    texts = [
        f"{a} {b} {b} number{i}"
        for i, (a, b) in enumerate(
            zip("ab cd ef gh ij".split() * 5, ("kl mn".split() * 13)[:25], strict=True)
        )
    ]
    X, _ = encoded(pd.DataFrame({"t": texts}))
    idf = {
        w: np.log((1 + 25) / (1 + sum(w in t.split() for t in texts))) + 1
        for t in texts
        for w in t.split()
    }
    weights = [
        {w: (1 + np.log(t.split().count(w))) * idf[w] for w in set(t.split())} for t in texts
    ]
    for row, words in zip(X.to_numpy(), weights, strict=True):
        expected = np.array(sorted(words.values())) / np.linalg.norm(list(words.values()))
        np.testing.assert_allclose(np.sort(row[row > 0]), expected, rtol=1e-5)


def test_texts_with_shared_words_are_closer():
    titles = ["cold start of nodes", "cold start of items", "weather in the north"] * 10
    titles = [f"{title} number {i} {i * 7}" for i, title in enumerate(titles)]
    X, _ = encoded(pd.DataFrame({"t": titles}))
    a, b, c = X.to_numpy()[:3]
    assert a @ b > a @ c


def test_text_without_spaces_is_text():
    titles = [f"图神经网络的冷启动问题{chr(0x4E00 + i)}{chr(0x4E80 + i)}" for i in range(40)]
    _, encoder = encoded(pd.DataFrame({"t": titles}))
    assert kinds(encoder) == {"t": "text"}


def test_dates_become_parts():
    days = pd.date_range("2023-12-30 05:00", periods=40, freq="31h")
    X, _ = encoded(pd.DataFrame({"d": days}))
    for part, values in {
        "month": days.month,
        "weekday": days.day_of_week,
        "hour": days.hour,
        "day of year": days.day_of_year,
    }.items():
        assert np.corrcoef(X[f"d {part}"], values)[0, 1] == pytest.approx(1)
    assert (np.diff(X["d time"]) > 0).all()
    assert "d is missing" not in X


def test_dates_are_one_thing_however_they_are_stored():
    days = pd.Series(pd.date_range("2024-01-30", periods=30, freq="D"))
    frames = [
        days,
        days.dt.strftime("%Y-%m-%d"),
        days.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
        days.dt.date,
    ]
    results = [encoded(pd.DataFrame({"d": values}))[0] for values in frames]
    for other in results[1:]:
        pd.testing.assert_frame_equal(results[0], other)


def test_text_that_is_all_numbers_is_numbers_and_leading_zeros_are_categories():
    _, encoder = encoded(pd.DataFrame({"a": ["1.5", "2", None], "b": ["01", "02", "01"]}))
    assert kinds(encoder) == {"a": "number", "b": "category"}


@pytest.mark.parametrize(
    "values",
    [
        ["3,14", "2,5", "3,14"],
        ["3,14", "2", "1.5"],
        ["1.234,5", "12,5", "7"],
        ["1,234.5", "7.25", None],
        ["1,234,567", "1,234", "null"],
    ],
)
def test_numbers_written_with_commas_are_never_taken_for_categories(values):
    frame = pd.DataFrame({"price": values * 20, "size": np.arange(60.0)})
    said = f"column 'price' holds numbers written with commas .first: '{values[0]}'"
    with pytest.raises(MakedoInputError, match=said):
        TableEncoder().fit(frame)
    assert encoded(frame.drop(columns="price"))[0].shape[1] == 1
    frame["price"] = frame["price"].astype("category")  # on purpose
    assert kinds(encoded(frame)[1])["price"] == "category"


@pytest.mark.parametrize(
    "values", [["1,2,3", "4,5", "1,2,3"], ["a,b", "1,5", "a,b"], ["1.2.3", "1.2.4", "1.2.3"]]
)
def test_other_text_with_commas_or_points_is_a_category(values):
    assert kinds(encoded(pd.DataFrame({"a": values * 20}))[1]) == {"a": "category"}


def test_mixed_objects_are_read_as_text():
    X, encoder = encoded(pd.DataFrame({"a": pd.Series([7, "a", 7.0, None], dtype=object)}))
    assert kinds(encoder) == {"a": "category"}
    np.testing.assert_array_equal(X["a=7"], [1, 0, 1, 0])


def test_booleans_with_missing_values_are_flagged():
    X, _ = encoded(pd.DataFrame({"a": pd.Series([True, None, False], dtype=object)}))
    np.testing.assert_array_equal(X, [[1, 0], [0, 1], [0, 0]])


def test_missing_vectors_are_zero_and_flagged():
    X, _ = encoded(pd.DataFrame({"v": [[1, 2], None, [3, 4]]}))
    np.testing.assert_array_equal(X, [[1, 2, 0], [0, 0, 1], [3, 4, 0]])


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "Float32", "boolean", "category", "string"])
def test_pandas_extension_types_are_read(dtype):
    values = {"boolean": [True, None, False], "string": ["a", None, "b"]}.get(dtype, [1, None, 2])
    X, _ = encoded(pd.DataFrame({"a": pd.Series(values, dtype=dtype), "b": [1, 2, 3]}))
    np.testing.assert_array_equal(X["a is missing"], [0, 1, 0])


# --- columns without use ---------------------------------------------------------------------


def test_useless_columns_are_left_out_by_name_in_one_warning():
    n = 50
    frame = pd.DataFrame(
        {
            "key": [f"u{i}" for i in range(n)],
            "nothing": [None] * n,
            "same": ["x"] * n,
            "odd": [{"a": 1}] * n,
            "ragged": [[1], [1, 2]] * (n // 2),
            "k": ["a", "b"] * (n // 2),
        }
    )
    with pytest.warns(MakedoWarning, match="5 columns left out") as caught:
        _, encoder = encoded(frame)
    assert len(caught) == 1
    assert kinds(encoder) == dict.fromkeys(frame, "dropped") | {"k": "category"}
    assert encoder.transform(frame[["k"]]).shape == (n, 2)  # they are not asked for again
    encoder.transform(frame)  # and not called unknown


def test_constant_numbers_beside_other_kinds_are_left_out():
    with pytest.warns(MakedoWarning, match=r"'a': constant \(3\)"):
        X, _ = encoded(pd.DataFrame({"a": [3, 3, 3], "k": ["a", "b", "a"]}))
    assert list(X) == ["k=a", "k=b"]


def test_constant_numbers_with_missing_values_keep_their_flag():
    X, _ = encoded(pd.DataFrame({"a": [3, None, 3], "k": ["a", "b", "a"]}))
    assert list(X) == ["a is missing", "k=a", "k=b"]


def test_nothing_usable_is_an_error():
    with pytest.raises(
        MakedoInputError, match=r"nodes.csv: none of 1 column can be used \('a': no value at all\)"
    ):
        TableEncoder().fit(pd.DataFrame({"a": [None, None]}), where="nodes.csv")


def test_no_rows_are_an_error():
    with pytest.raises(MakedoInputError, match="X: has no rows to learn from"):
        TableEncoder().fit(pd.DataFrame({"a": []}))


def test_infinite_numbers_are_an_error():
    with pytest.raises(
        MakedoInputError, match=r"column 'a' has 1 row with infinite numbers .*first: row 'q'"
    ):
        TableEncoder().fit(pd.DataFrame({"a": [1, np.inf]}, index=["p", "q"]))
    encoder = TableEncoder().fit(pd.DataFrame({"a": [1.0, 2.0]}))
    with pytest.raises(MakedoInputError, match="infinite"):
        encoder.transform(pd.DataFrame({"a": [-np.inf]}))


# --- transform is what fit learnt ------------------------------------------------------------


def test_transform_needs_fit():
    with pytest.raises(NotFittedError):
        TableEncoder().transform(mixed())


def test_column_order_does_not_matter():
    frame = mixed()
    X, encoder = encoded(frame)
    np.testing.assert_array_equal(dense(encoder.transform(frame[frame.columns[::-1]])), X)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 60), st.integers(0, 3))
def test_a_batch_is_encoded_as_within_the_whole(rows, seed):
    X, encoder = encoded(mixed())
    frame = mixed(60, seed)
    whole = dense(encoder.transform(frame))
    batches = [dense(encoder.transform(frame.iloc[i : i + rows])) for i in range(0, 60, rows)]
    np.testing.assert_array_equal(np.vstack(batches), whole)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_batch_of_a_file_is_encoded_as_the_whole_file(tmp_path, suffix):
    from makedo.data.files import write_table

    frame = mixed().drop(columns="vector")
    write_table(frame, tmp_path / f"t{suffix}")
    X, encoder = encoded(read_table(tmp_path / f"t{suffix}"))
    batches = [dense(encoder.transform(b)) for b in read_batches(tmp_path / f"t{suffix}", rows=1)]
    np.testing.assert_array_equal(np.vstack(batches), X)


def test_a_file_of_plain_numbers_still_finds_categories_with_leading_zeros(tmp_path):
    (tmp_path / "fit.csv").write_text("zip,truth\n007,true\n12,maybe\n7,TRUE\n")
    (tmp_path / "new.csv").write_text("zip,truth\n12,true\n,true\n")
    encoder = TableEncoder().fit(read_table(tmp_path / "fit.csv"))
    X = pd.DataFrame(
        dense(encoder.transform(read_table(tmp_path / "new.csv"))),
        columns=encoder.feature_names_out_,
    )
    np.testing.assert_array_equal(X["zip=12"], [1, 0])
    np.testing.assert_array_equal(X["truth=true"], [1, 1])


def test_empty_frames_give_no_rows():
    frame = mixed()
    _, encoder = encoded(frame)
    for empty in (frame.iloc[:0], pd.DataFrame({name: pd.Series(dtype=float) for name in frame})):
        assert encoder.transform(empty).shape == (0, len(encoder.feature_names_out_))


def test_all_missing_columns_are_accepted_for_every_kind():
    frame = mixed()
    _, encoder = encoded(frame)
    X = dense(encoder.transform(pd.DataFrame({name: [np.nan] * 2 for name in frame})))
    assert np.isfinite(X).all()


def test_columns_that_are_gone_are_named():
    _, encoder = encoded(mixed())
    with pytest.raises(
        MakedoInputError,
        match=r"new.csv: 2 columns of fit not found \(first: 'age' \(numbers\), 'title' \(text\)\)",
    ):
        encoder.transform(mixed().drop(columns=["title", "age"]), where="new.csv")


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("age", ["old"] * 60, "text in 60 rows"),
        ("age", pd.date_range("2020", periods=60), "dates"),
        ("age", [[1.0]] * 60, "vectors"),
        ("colour", range(60), "numbers"),
        ("title", range(60), "numbers"),
        ("since", range(60), "numbers"),
        ("since", ["soon"] * 60, "text that is not all ISO dates"),
        ("member", range(60), "other numbers than 0 and 1"),
        ("vector", [[1.0, 2.0]] * 60, "2 numbers a vector, not 3"),
        ("vector", [[1.0, 2.0, 3.0], [1.0]] * 30, "lists of different lengths"),
        ("vector", ["a"] * 60, "text"),
    ],
)
def test_a_column_of_another_kind_is_refused_by_name(name, values, found):
    _, encoder = encoded(mixed())
    with pytest.raises(
        MakedoInputError, match=f"column '{name}' held .* in fit and now holds {found}"
    ):
        encoder.transform(mixed().assign(**{name: values}))


def test_columns_that_fit_did_not_see_are_ignored_with_a_warning():
    X, encoder = encoded(mixed())
    with pytest.warns(MakedoWarning, match=r"1 column that fit did not see \(first: 'shoe'\)"):
        later = encoder.transform(mixed().assign(shoe=1))
    np.testing.assert_array_equal(dense(later), X)


def test_fit_does_not_change_the_table():
    frame, same = mixed(), mixed()
    TableEncoder().fit_transform(frame)
    pd.testing.assert_frame_equal(frame, same)


def test_fit_transform_is_fit_then_transform():
    X, encoder = encoded(mixed())
    np.testing.assert_array_equal(dense(TableEncoder().fit(mixed()).transform(mixed())), X)


def test_an_encoder_from_its_state_is_bit_equal():
    X, encoder = encoded(mixed())
    again = TableEncoder.from_state(through_json(encoder.to_state()))
    np.testing.assert_array_equal(dense(again.transform(mixed())), X)
    assert again.columns_ == encoder.columns_
    assert again.describe() == encoder.describe()


def at(state, name):
    """What is stored of a column."""
    return next(column for column in state["columns"] if column["name"] == name)


DAMAGED = {
    "a foreign state": (lambda s: s.pop("columns"), "not the stored state of a table encoder"),
    "no columns": (lambda s: s["columns"].clear(), "not the stored state"),
    "not said whether sparse": (lambda s: s.update(sparse=1), "not the stored state"),
    "another entry": (lambda s: at(s, "age").update(colour=1), "column 'age': it is none, or has"),
    "a column that is text": (lambda s: s["columns"].insert(0, "age"), "column 1: it is none"),
    "no kind": (lambda s: at(s, "age").pop("kind"), "column 'age': it is none"),
    "twice": (lambda s: at(s, "zip").update(name="age"), "column 'age': its name is there twice"),
    "an odd name": (lambda s: at(s, "age").update(name=[1]), "column 1: its name is neither"),
    "an odd kind": (lambda s: at(s, "age").update(kind="colour"), "no columns of kind 'colour'"),
    "missing below 0": (lambda s: at(s, "age").update(missing=-1), "how many of its values"),
    "no names": (lambda s: at(s, "age").update(names=[1, 2]), "its features have no names"),
    "too few names": (lambda s: at(s, "age")["names"].pop(), "1 names for 2 features"),
    "nothing learnt": (lambda s: at(s, "age").update(learnt=[]), "nothing is stored of it"),
    "median missing": (lambda s: at(s, "age")["learnt"].pop("median"), "of kind 'number' needs"),
    "median of no number": (
        lambda s: at(s, "age")["learnt"].update(median=np.array([np.nan])),
        "of kind 'number' needs",
    ),
    "deviation 0": (
        lambda s: at(s, "age")["learnt"].update(deviation=np.array([0.0])),
        "of kind 'number' needs",
    ),
    "a part that is none": (lambda s: at(s, "since")["learnt"].update(keep=[6]), "'date' needs"),
    "flag of no truth": (lambda s: at(s, "member")["learnt"].update(flag=2), "'boolean' needs"),
    "no width": (lambda s: at(s, "vector")["learnt"].update(width=0), "'vector' needs"),
    "another width": (lambda s: at(s, "vector")["learnt"].update(width=4), "3 names for 4"),
    "a category twice": (
        lambda s: at(s, "colour")["learnt"].update(categories=["red", "red", "blue"]),
        "'category' needs",
    ),
    "one category less": (
        lambda s: at(s, "colour")["learnt"]["categories"].pop(),
        "4 names for 3 features",
    ),
    "words out of order": (
        lambda s: at(s, "title")["learnt"].update(used=at(s, "title")["learnt"]["used"][::-1]),
        "'text' needs",
    ),
    "words out of range": (
        lambda s: at(s, "title")["learnt"].update(used=at(s, "title")["learnt"]["used"] + 2**13),
        "'text' needs",
    ),
    "weights of other words": (
        lambda s: at(s, "title")["learnt"].update(idf=at(s, "title")["learnt"]["idf"][1:]),
        "'text' needs",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_state_is_refused_in_one_line(case):
    damage, words = DAMAGED[case]
    _, encoder = encoded(mixed())
    state = copy.deepcopy(through_json(encoder.to_state()))
    damage(state)
    with pytest.raises(MakedoInputError, match="Save the model again") as caught:
        TableEncoder.from_state(state)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("state", [None, [], "columns", {"how": "rows"}, {"columns": 3}])
def test_the_state_of_something_else_is_refused(state):
    with pytest.raises(MakedoInputError, match="not the stored state of a table encoder"):
        TableEncoder.from_state(state)


def test_a_state_of_which_no_column_is_used_is_refused():
    _, encoder = encoded(mixed())
    state = through_json(encoder.to_state())
    for column in state["columns"]:
        column["kind"] = "dropped"
    with pytest.raises(MakedoInputError, match="no column of it is used"):
        TableEncoder.from_state(state)


def test_sparse_tables_stay_sparse_in_every_batch():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"k": rng.choice([f"v{i}" for i in range(18)], 400)})
    encoder = TableEncoder()
    assert isinstance(encoder.fit_transform(frame), sparse.csr_matrix)
    batch = encoder.transform(frame.head(1))
    assert isinstance(batch, sparse.csr_matrix)
    assert batch.dtype == np.float32


def test_the_description_names_what_was_done():
    frame = mixed().assign(**{f"w{i}": range(60) for i in range(9)})
    _, encoder = encoded(frame)
    lines = encoder.describe().splitlines()
    assert any(line.startswith("age ") and "missing become the median" in line for line in lines)
    assert any("w0 … w8 (9 columns)" in line and "9 features" in line for line in lines)


def test_many_rows_are_encoded_fast():
    n = 100_000
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "k": rng.choice([f"v{i}" for i in range(300)], n),
            "d": pd.Timestamp("2020") + pd.to_timedelta(rng.integers(0, 10**6, n), "s"),
        }
    )
    start = time.perf_counter()
    TableEncoder().fit_transform(frame)
    assert time.perf_counter() - start < 5  # a loop over cells takes far longer


# --- containers and roles --------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [pl.from_pandas, lambda f: pl.from_pandas(f).lazy(), pa.Table.from_pandas]
)
def test_other_tables_give_the_same_matrix(make):
    frame = mixed()
    X, encoder = encoded(frame)
    other, _ = encoded(make(frame))
    pd.testing.assert_frame_equal(other, X)
    np.testing.assert_array_equal(dense(encoder.transform(make(frame))), X)


def test_what_is_no_table_is_refused():
    with pytest.raises(MakedoInputError, match="a table is needed, .* Got ndarray"):
        as_frame(np.ones((2, 2)))


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(MakedoInputError, match=r"1 column name twice \(first: 'a'\)"):
        as_frame(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_columns_are_split_by_role():
    frame = pd.DataFrame(
        {"node": ["p", "q"], "age": [1, 2], "topic": ["x", None], "split": ["train", "test"]}
    )
    ids, y, X = split_columns(frame, id="node", label="topic", other=["split", "absent"])
    assert list(ids) == ["p", "q"]
    assert ids.name == "node"
    assert y.isna().tolist() == [False, True]
    assert list(X) == ["age"]
    assert X.index.equals(ids)
    assert y.index.equals(ids)


@pytest.mark.parametrize("name", ["node_id", "id"])
def test_the_usual_id_columns_are_found(name):
    ids, y, X = split_columns(pd.DataFrame({"a": [1, 2], name: ["p", "q"]}))
    assert (list(ids), y, list(X)) == (["p", "q"], None, ["a"])


def test_without_an_id_column_the_index_or_row_numbers_are_ids():
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.Index(["p", "q"], name="key"))
    assert list(split_columns(frame)[0]) == ["p", "q"]
    assert list(split_columns(frame, id="key")[0]) == ["p", "q"]
    assert list(split_columns(frame.reset_index(drop=True))[0]) == [0, 1]


def test_features_can_be_chosen():
    frame = pd.DataFrame({"a": [1], "b": [2], "c": [3]})
    assert list(split_columns(frame, features=["c", "a"])[2]) == ["c", "a"]
    with pytest.raises(
        MakedoInputError, match=r"nodes.csv: no feature column 'z'. It has 3 columns: 'a', 'b', 'c'"
    ):
        split_columns(frame, features=["a", "z"], where="nodes.csv")
    with pytest.raises(MakedoInputError, match="'a' is the label and cannot be a feature"):
        split_columns(frame, label="a", features=["a"])


@pytest.mark.parametrize(
    ("columns", "roles", "message"),
    [
        ({"id": ["p", None]}, {}, r"1 row without an id in 'id' \(first: row 1\)"),
        ({"id": ["p", "p"]}, {}, r"1 id in 'id' on more than one row \(first: 'p'\)"),
        ({"a": [1, 2]}, {"id": "node"}, "no id column 'node'. It has 1 column: 'a'"),
        ({"a": [1, 2]}, {"label": "topic"}, "no label column 'topic'"),
    ],
)
def test_bad_roles_are_named(columns, roles, message):
    with pytest.raises(MakedoInputError, match=message):
        split_columns(pd.DataFrame(columns), **roles)


def test_whole_float_ids_are_integers():
    assert split_columns(pd.DataFrame({"id": [1.0, 2.0]}))[0].dtype == "int64"
