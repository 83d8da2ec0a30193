"""Any user's table to a float32 matrix, and the columns of a table to ids, labels and features.

The kinds of columns and what becomes of each are in :mod:`makedo.data.columns`.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow.interchange import from_dataframe
from scipy import sparse

from makedo.core.checks import MakedoInputError, MakedoWarning, count, first
from makedo.data.columns import ENCODE, EXPECTED, FIT, Block, Column, classify, read_as
from makedo.data.kinds import frame_from_arrow
from makedo.data.stored_columns import columns_from_state

SPARSE_BELOW = 0.25  # share of values other than zero below which the matrix is sparse


# --- columns of a table by their role ------------------------------------------------------------


def split_columns(
    frame: Any,
    *,
    id: str | None = None,
    label: str | None = None,
    features: Iterable[str] | None = None,
    other: Iterable[str] = (),
    repeats: bool = False,
    where: str = "table",
) -> tuple[pd.Index, pd.Series | None, pd.DataFrame]:
    """Split a table into ids, labels and features.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        Or any table with an Arrow or dataframe protocol.
    id : str, optional
        The column (or the name of the index) of ids.  Default: ``node_id`` or ``id``, if there is
        one, else the index of the frame (row numbers, if it has no other).
    label : str, optional
        The column of labels.  Default: no labels.
    features : iterable of str, optional
        The columns of features.  Default: all that have no other role.
    other : iterable of str
        Columns that are no features, such as a split; names that are not there are ignored.
    repeats : bool, default=False
        Whether rows may share an id: nothing is joined by it, and it is only handed back.
    where : str
        What errors call the table.

    Returns
    -------
    ids : Index of shape (n_rows,)
    y : Series of shape (n_rows,) or None
        Unlabelled rows are missing values.
    X : DataFrame of shape (n_rows, n_features)
        Both with ``ids`` as index.

    Raises
    ------
    MakedoInputError
        A named column is not there; an id is missing or given twice.
    """
    frame = as_frame(frame, where)
    ids, used = _ids(frame, id, where, repeats)
    if label is not None:
        _require([label], frame, where, "label column")
        if label == used:
            raise MakedoInputError(f"{where}: {label!r} is the id and cannot be the label too.")
    if features is None:
        taken = {label, used, *other}
        names = [name for name in frame.columns if name not in taken]
    else:
        names = list(dict.fromkeys(features))
        _require(names, frame, where, "feature column")
        if label is not None and label in names:
            raise MakedoInputError(f"{where}: '{label}' is the label and cannot be a feature too.")
    X = frame[names].set_axis(ids, axis=0)
    return ids, None if label is None else frame[label].set_axis(ids, axis=0), X


def as_frame(table: Any, where: str = "table") -> pd.DataFrame:
    """A DataFrame from any table: pandas as it is, others (polars, Arrow) by their protocol.

    Raises
    ------
    MakedoInputError
        It is not a table, or two of its columns have one name.
    """
    if hasattr(table, "collect_schema") and hasattr(table, "collect"):  # a lazy query
        table = table.collect()
    if hasattr(table, "column_names") and hasattr(table, "with_format"):  # Hugging Face datasets
        table = table.with_format("arrow")[:]
    if isinstance(table, pd.DataFrame):
        frame = table
    elif hasattr(table, "__arrow_c_stream__"):
        frame = frame_from_arrow(pa.table(table))
    elif hasattr(table, "__dataframe__"):
        frame = frame_from_arrow(from_dataframe(table))
    else:
        raise MakedoInputError(
            f"{where}: a table is needed, such as a pandas or polars DataFrame. "
            f"Got {type(table).__name__}."
        )
    twice = frame.columns[frame.columns.duplicated()].unique()
    if len(twice):
        raise MakedoInputError(
            f"{where}: has {count(len(twice), 'column name')} twice (first: {first(twice)}). "
            "Every column needs a name of its own."
        )
    odd = [name for name in frame.columns if not isinstance(name, (str, int, np.integer))]
    if odd:
        raise MakedoInputError(
            f"{where}: column names must be text or whole numbers. Got {first(odd)}."
        )
    return frame


def _ids(
    frame: pd.DataFrame, id: str | None, where: str, repeats: bool = False
) -> tuple[pd.Index, Any]:
    """Ids and the name of the column that they came from, None if from the index."""
    wanted = [id] if id is not None else ["node_id", "id"]
    column = next((name for name in wanted if name in frame.columns), None)
    if column is not None:
        ids = pd.Index(frame[column], name=column)
    elif id is None or id == frame.index.name:
        ids = frame.index
    else:
        _require([id], frame, where, "id column")
        raise AssertionError(id)
    missing = np.flatnonzero(ids.isna())
    if len(missing):
        raise MakedoInputError(
            f"{where}: {count(len(missing), 'row')} without an id in '{ids.name}' "
            f"(first: row {missing[0]:,}). Every row needs one."
        )
    if ids.dtype.kind == "f" and bool((ids == np.floor(ids)).all()):
        ids = ids.astype("int64")  # 7.0 is the id 7
    twice = ids[ids.duplicated()].unique()
    if len(twice) and not repeats:
        raise MakedoInputError(
            f"{where}: {count(len(twice), 'id')} in '{ids.name or 'index'}' on more than one row "
            f"(first: {first(twice)}). Keep one row for each id"
            + (", or call reset_index(drop=True)." if column is None else ".")
        )
    return ids, column


def _require(names: Iterable[Any], frame: pd.DataFrame, where: str, role: str) -> None:
    unknown = [name for name in names if name not in frame.columns]
    if not unknown:
        return
    shown = first(frame.columns, 12) + (", …" if frame.shape[1] > 12 else "")
    raise MakedoInputError(
        f"{where}: no {role} {first(unknown)}. It has {count(frame.shape[1], 'column')}: {shown}."
    )


# --- the encoder ---------------------------------------------------------------------------------


class TableEncoder:
    """Turn any table into a matrix of numbers, the same way each time.

    The kinds of columns, and what becomes of each: :mod:`makedo.data.columns`.  ``transform`` works
    row by row: a batch is encoded as it is within the whole.  It reads each column as the kind that
    ``fit`` saw, so what a batch alone looks like changes nothing.

    Attributes
    ----------
    columns_ : list of dict
        For each column: name, kind, done (in words), n_features, missing (rows of ``fit``).
    feature_names_out_ : list of str
    sparse_ : bool
        Whether the matrix is sparse: there are texts or categories, and less than a quarter of its
        values are other than zero.

    Requirements
    ------------
    At least one row, and a column that is neither an identifier nor constant.

    Cost
    ----
    O(rows · columns), and about 10 µs for each text of ten words.

    Examples
    --------
    >>> import pandas as pd
    >>> from makedo.data.table import TableEncoder
    >>> frame = pd.DataFrame({"age": [31.0, None, 40.0], "colour": ["red", "blue", "red"]})
    >>> encoder = TableEncoder()
    >>> encoder.fit_transform(frame).shape
    (3, 4)
    >>> encoder.feature_names_out_
    ['age', 'age is missing', 'colour=blue', 'colour=red']
    """

    def fit(self, frame: Any, where: str = "X") -> TableEncoder:
        """Find the kind of each column and what its encoding needs.

        Parameters
        ----------
        frame : DataFrame of shape (n_rows, n_columns)
            Or any table with an Arrow or dataframe protocol.
        where : str
            What errors and warnings call the table.

        Raises
        ------
        MakedoInputError
            There are no rows, no usable columns, or infinite numbers.
        """
        self._fit(as_frame(frame, where), where)
        return self

    def fit_transform(self, frame: Any, where: str = "X") -> Block:
        """``fit``, then ``transform`` of the same table."""
        return self._fit(as_frame(frame, where), where)

    def transform(self, frame: Any, where: str = "X") -> Block:
        """Encode a table with the columns of ``fit``, in any order.

        Returns
        -------
        ndarray or csr_matrix of shape (n_rows, n_features), float32
            Sparse if ``sparse_``.

        Raises
        ------
        MakedoInputError
            A column is not there or holds another kind of values than in ``fit``.
        """
        if not hasattr(self, "_columns"):
            from sklearn.exceptions import NotFittedError  # slow to import

            raise NotFittedError("TableEncoder: call fit before transform.")
        frame = as_frame(frame, where)
        used = [column for column in self._columns if column.kind != "dropped"]
        _require_fitted(used, frame, where)
        extra = [name for name in frame.columns if name not in self._known()]
        if extra:
            warnings.warn(
                f"{where}: {count(len(extra), 'column')} that fit did not see "
                f"(first: {first(extra)}); ignored.",
                MakedoWarning,
                stacklevel=2,
            )
        blocks = [
            ENCODE[column.kind](read_as(frame[column.name], column, where), column.learnt)
            for column in used
        ]
        return self._assemble(blocks, len(frame))

    @property
    def columns_(self) -> list[dict[str, Any]]:
        """What was done with each column."""
        return [
            {
                "name": column.name,
                "kind": column.kind,
                "done": column.done,
                "n_features": len(column.names),
                "missing": column.missing,
            }
            for column in self._columns
        ]

    @property
    def feature_names_out_(self) -> list[str]:
        """Names of the features, in order."""
        return [name for column in self._columns for name in column.names]

    def describe(self) -> str:
        """What was done with the columns, one line each; like neighbours share a line."""
        rows: list[tuple[str, str, str]] = []
        for (kind, done, missing), group in itertools.groupby(
            self._columns, key=lambda column: (column.kind, column.done, column.missing)
        ):
            columns = list(group)
            if len(columns) > 4:
                name = f"{columns[0].name} … {columns[-1].name} ({count(len(columns), 'column')})"
                columns = [Column(name, kind, names=[n for c in columns for n in c.names])]
            for column in columns:
                words = f"{done}, {missing:,} missing" if missing and kind != "dropped" else done
                size = "" if kind == "dropped" else f" -> {count(len(column.names), 'feature')}"
                rows.append((str(column.name), kind, words + size))
        width = max(len(name) for name, _, _ in rows)
        return "\n".join(f"{name:<{width}}  {kind:<8}  {words}" for name, kind, words in rows)

    def to_state(self) -> dict[str, Any]:
        """The fitted encoder as plain values and arrays."""
        return {"sparse": self.sparse_, "columns": [asdict(column) for column in self._columns]}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> TableEncoder:
        """The encoder that ``to_state`` described; any other state is refused."""
        encoder = cls()
        encoder._columns = columns_from_state(state)
        encoder.sparse_ = state["sparse"]
        return encoder

    def _fit(self, frame: pd.DataFrame, where: str) -> Block:
        if not len(frame):
            raise MakedoInputError(f"{where}: has no rows to learn from.")
        found = [classify(pd.Series(frame[name]), where) for name in frame.columns]
        kinds = {column.kind for column, _ in found} - {"dropped"}
        scale = not kinds <= {"number", "boolean", "vector"}
        blocks = []
        for column, values in found:
            if column.kind != "dropped":
                FIT[column.kind](column, values, scale)
            if column.kind != "dropped":
                blocks.append(ENCODE[column.kind](values, column.learnt))
        columns = [column for column, _ in found]
        _report_dropped(columns, where)
        self._columns = columns
        full = sum(
            block.nnz if sparse.issparse(block) else np.count_nonzero(block) for block in blocks
        )
        size = len(frame) * len(self.feature_names_out_)
        self.sparse_ = bool(kinds & {"text", "category"} and full < SPARSE_BELOW * size)
        return self._assemble(blocks, len(frame))

    def _known(self) -> set[Any]:
        return {column.name for column in self._columns}

    def _assemble(self, blocks: list[Block], n_rows: int) -> Block:
        if self.sparse_:
            return sparse.csr_matrix(sparse.hstack(blocks, format="csr", dtype=np.float32))
        X = np.empty((n_rows, len(self.feature_names_out_)), dtype=np.float32)
        start = 0
        for block in blocks:
            stop = start + block.shape[1]
            X[:, start:stop] = block.toarray() if sparse.issparse(block) else block
            start = stop
        return X


def _require_fitted(columns: list[Column], frame: pd.DataFrame, where: str) -> None:
    gone = [column for column in columns if column.name not in frame.columns]
    if gone:
        shown = ", ".join(f"'{column.name}' ({EXPECTED[column.kind]})" for column in gone[:3])
        raise MakedoInputError(
            f"{where}: {count(len(gone), 'column')} of fit not found (first: {shown}). "
            "Add what is not there; unknown values may be left missing."
        )


def _report_dropped(columns: list[Column], where: str) -> None:
    dropped = [column for column in columns if column.kind == "dropped"]
    shown = ", ".join(f"'{column.name}': {column.done}" for column in dropped[:3])
    if len(dropped) == len(columns):
        raise MakedoInputError(
            f"{where}: none of {count(len(dropped), 'column')} can be used "
            f"({shown or 'no columns'}). Add a column that says something about the rows."
        )
    if dropped:
        more = ", …" if len(dropped) > 3 else ""
        warnings.warn(
            f"{where}: {count(len(dropped), 'column')} left out ({shown}{more}).",
            MakedoWarning,
            stacklevel=4,
        )
