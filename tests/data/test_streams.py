"""Matrices in files, and rows in batches."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from makedo.core.checks import MakedoInputError
from makedo.data.streams import (
    ParquetMatrix,
    drop_columns,
    is_loader,
    open_rows,
    read_loader,
    take_column,
)

X = np.random.default_rng(0).normal(size=(23, 4))
NAMES = [f"r{i}" for i in range(23)]


def lists(kind=None):
    values = pa.array(X.ravel())
    if kind == "fixed":
        return pa.FixedSizeListArray.from_arrays(values, 4)
    return pa.array(X.tolist(), pa.large_list(pa.float64()) if kind == "large" else None)


def write(path, table, rows=7):
    pq.write_table(table, path, row_group_size=rows)
    return path


@pytest.fixture(params=["lists", "large lists", "fixed lists", "columns"])
def file(request, tmp_path):
    if request.param == "columns":
        table = pa.table({f"c{i}": X[:, i] for i in range(4)} | {"name": NAMES})
    else:
        kind = request.param.split()[0]
        table = pa.table({"name": NAMES, "embedding": lists(kind), "label": np.arange(23) % 2})
    return write(tmp_path / "x.parquet", table)


@pytest.mark.parametrize("size", [1, 5, 7, 23, 100])
def test_blocks_are_the_rows_in_order(file, size):
    matrix = ParquetMatrix(file)
    assert matrix.shape == (23, 4)
    for _ in range(2):  # again and again
        blocks = list(matrix.blocks(size))
        assert max(map(len, blocks)) <= size
        np.testing.assert_array_equal(np.concatenate(blocks), X)


def test_rows_are_taken_in_the_order_asked_for(file):
    matrix = ParquetMatrix(file)
    for indices in ([0], [22, 3, 3, 8], np.arange(23)[::-1], []):
        indices = np.array(indices, dtype=int)
        np.testing.assert_array_equal(matrix.take(indices), X[indices])


def test_a_column_beside_the_matrix_can_be_had(file):
    assert list(ParquetMatrix(file).column("name")) == NAMES
    with pytest.raises(MakedoInputError, match=r"x.parquet: has no column 'other'\. It has"):
        ParquetMatrix(file).column("other")


def test_columns_of_numbers_are_chosen_and_left_out(tmp_path):
    table = pa.table({"a": [1, 2], "b": [0.5, 1.5], "c": [True, False], "t": ["x", "y"]})
    path = write(tmp_path / "x.parquet", table)
    assert ParquetMatrix(path).names == ["a", "b", "c"]
    np.testing.assert_array_equal(next(ParquetMatrix(path).blocks(9)), [[1, 0.5, 1], [2, 1.5, 0]])
    assert ParquetMatrix(path, ["b", "a"]).take(np.array([1])).tolist() == [[1.5, 2]]
    assert ParquetMatrix(path, "b").shape == (2, 1)
    assert ParquetMatrix(path).without(["c", "t"]).names == ["a", "b"]


@pytest.mark.parametrize(
    ("table", "columns", "match"),
    [
        ({"t": ["x", "y"]}, None, "no column holds numbers"),
        ({"t": ["x", "y"], "a": [1, 2]}, ["t"], "'t' holds no numbers"),
        ({"a": [1, 2]}, ["b"], "has no column 'b'"),
        ({"a": [1, 2], "v": [[1], [2]]}, ["a", "v"], "one column of lists, or columns"),
    ],
)
def test_columns_that_are_no_matrix_are_refused(tmp_path, table, columns, match):
    path = write(tmp_path / "x.parquet", pa.table(table))
    with pytest.raises(MakedoInputError, match=f"^x.parquet: .*{match}"):
        ParquetMatrix(path, columns)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ([[1.0, 2.0], [3.0]], "not all of 2 numbers"),
        ([[1.0, 2.0], [3.0, None]], "not all of 2 numbers"),
        ([[1.0, 2.0], None], "missing values"),
    ],
)
def test_lists_of_other_lengths_and_gaps_are_refused(tmp_path, values, match):
    path = write(tmp_path / "x.parquet", pa.table({"v": values}))
    with pytest.raises(MakedoInputError, match=match):
        list(ParquetMatrix(path).blocks(10))


def test_gaps_in_columns_are_refused(tmp_path):
    path = write(tmp_path / "x.parquet", pa.table({"a": [1.0, None], "b": [1, 2]}))
    with pytest.raises(MakedoInputError, match="missing values"):
        list(ParquetMatrix(path).blocks(10))


def test_a_path_becomes_what_lies_there_unread(tmp_path):
    np.save(tmp_path / "x.npy", X)
    found = open_rows(str(tmp_path / "x.npy"))
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, X)
    assert isinstance(open_rows(write(tmp_path / "x.parquet", pa.table({"a": [1]}))), ParquetMatrix)
    assert open_rows(X) is X


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("x.csv", b"a,b", "a .npy or .parquet file"),
        ("x.npy", b"\x93NUMPY", "cut short, damaged"),
        ("x.parquet", b"PAR1", "cut short, damaged"),
        ("gone.npy", None, "no such file"),
        ("gone.parquet", None, "no such file"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, name, content, match):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MakedoInputError, match=f"^{name}: .*{match}"):
        open_rows(tmp_path / name)


def test_an_npy_file_of_objects_is_not_unpickled(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(MakedoInputError, match="holds objects"):
        open_rows(tmp_path / "x.npy")


def test_a_loader_gives_its_rows_and_labels_in_order():
    y = torch.arange(23) % 3
    loader = DataLoader(TensorDataset(torch.from_numpy(X), y), batch_size=4)
    assert is_loader(loader) and not is_loader(X)
    rows, labels = read_loader(loader)
    np.testing.assert_array_equal(rows, X)
    np.testing.assert_array_equal(labels, y)
    rows, labels = read_loader(DataLoader(torch.from_numpy(X), batch_size=10))
    np.testing.assert_array_equal(rows, X)
    assert labels is None


def test_a_loader_that_shuffles_or_gives_nothing_is_refused():
    data = TensorDataset(torch.from_numpy(X))
    with pytest.raises(MakedoInputError, match="shuffle=False"):
        read_loader(DataLoader(data, shuffle=True))
    with pytest.raises(MakedoInputError, match="no batch"):
        read_loader(DataLoader(TensorDataset(torch.empty(0, 3))))


def test_a_column_of_a_table_is_taken_by_name_and_dropped():
    frame = pd.DataFrame({"a": [1, 2], "g": ["x", "y"]})
    assert list(take_column(frame, "g", "groups")) == ["x", "y"]
    assert list(drop_columns(frame, ["g", "not there"]).columns) == ["a"]
    assert drop_columns(X, ["g"]) is X
    with pytest.raises(MakedoInputError, match="no column 'h' for groups. It has 2 columns"):
        take_column(frame, "h", "groups")
    with pytest.raises(MakedoInputError, match="groups='g' names a column, but X is a ndarray"):
        take_column(X, "g", "groups")
