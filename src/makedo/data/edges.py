"""Reading lists of edges: tables and arrays to sources, targets, weights, checked."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, MakedoWarning, count, first


class Edges(NamedTuple):
    """Edges as they were listed, before anything is known about the nodes."""

    source: Any  # array of ids or positions, shape (n_edges,)
    target: Any
    weight: np.ndarray | None
    named: bool  # a table, whose ends may be ids; the ends of an array are positions


def read_edges(edges: Any, where: str) -> Edges:
    """Read a table (pandas, polars, Arrow) or an array or tensor of shape (2, n_edges)."""
    if hasattr(edges, "to_pandas"):  # polars, pyarrow
        edges = edges.to_pandas()
    if isinstance(edges, pd.DataFrame):
        return _read_table(edges, where)
    array = to_numpy(edges)
    if array.ndim != 2 or array.shape[0] != 2:
        turned = " Did you mean edges.T?" if array.ndim == 2 and array.shape[1] == 2 else ""
        raise MakedoInputError(
            f"{where}: an array of edges has the shape (2, n_edges). Got {array.shape}.{turned}"
        )
    return Edges(array[0], array[1], None, False)


def _read_table(edges: pd.DataFrame, where: str) -> Edges:
    if edges.shape[1] < 2:
        raise MakedoInputError(
            f"{where}: a table of edges needs two columns, source and target. "
            f"Got {count(edges.shape[1], 'column')}."
        )
    named = {"source", "target"} <= set(edges.columns)
    ends = ["source", "target"] if named else list(edges.columns[:2])
    for name in ends:
        missing = np.flatnonzero(edges[name].isna().to_numpy())
        if len(missing):
            raise MakedoInputError(
                f"{where}: column {name!r} has {count(len(missing), 'missing value')} "
                f"(first in row {missing[0]:,}). Drop those rows or fill them in."
            )
    weight = check_weight(edges["weight"], where) if "weight" in edges.columns else None
    return Edges(edges[ends[0]].array, edges[ends[1]].array, weight, True)


def known_edges(edges: pd.DataFrame, ids: pd.Index, where: str) -> pd.DataFrame:
    """The edges of a table that have both ends among ``ids``; the others are left out and told."""
    listed = read_edges(edges, where)
    known = pd.Index(listed.source).isin(ids) & pd.Index(listed.target).isin(ids)
    if not known.all():
        warnings.warn(
            f"{where}: {count(int((~known).sum()))} of {count(len(known), 'edge')} name nodes that "
            "are not there, and are left out.",
            MakedoWarning,
            stacklevel=2,
        )
    return edges.loc[known]


def to_numpy(values: Any) -> np.ndarray:
    """Return an array; a torch tensor is told by its ``detach``, without importing torch."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values)


def check_weight(weight: Any, where: str) -> np.ndarray:
    """Return edge weights as float64 of shape (n_edges,); they must be finite and not negative."""
    try:
        values = np.asarray(to_numpy(weight), dtype=np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise MakedoInputError(f"{where}: edge weights must be numbers ({error}).") from error
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        raise MakedoInputError(
            f"{where}: {count(int(bad.sum()))} of {count(len(values), 'edge weight')} are "
            f"negative, missing or infinite (first: {first(values[bad])}). "
            "Drop those edges or mend them."
        )
    return values


def check_positions(values: Any, where: str) -> np.ndarray:
    """Return positions of nodes as int64."""
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise MakedoInputError(
            f"{where}: without node_id the ends of edges are positions, that is integers. "
            f"Got {array.dtype} (first: {first(array)}). Pass node_id=... to name nodes otherwise."
        )
    return array.astype(np.int64)


def check_ids(ids: Any, where: str) -> pd.Index:
    """Return ids as an Index; none may be missing or there twice."""
    ids = ids if isinstance(ids, pd.Index) else pd.Index(ids, tupleize_cols=False)
    if ids.hasnans:
        missing = int(ids.isna().sum())
        raise MakedoInputError(f"{where}: {count(missing, 'id')} missing. Every node needs one.")
    if not ids.is_unique:
        repeated = ids[ids.duplicated()].unique()
        raise MakedoInputError(
            f"{where}: {count(len(repeated), 'id')} more than once (first: {first(repeated)}). "
            "Every node needs an id of its own: drop the repeated rows."
        )
    return ids


def is_text(ids: pd.Index) -> bool:
    """Whether ids are text (or anything but numbers)."""
    return not pd.api.types.is_numeric_dtype(ids.infer_objects())


def unknown_nodes_error(
    names: list[Any], n_bad: int, n_edges: int, node_id: pd.Index | None, among: str, where: str
) -> MakedoInputError:
    """Say which nodes (the first are ``names``) some edges name although they are not there."""
    hint = ""
    if n_bad == n_edges and node_id is not None and str(names[0]) in node_id.astype(str):
        hint = " They are there as another type: read both as text, or both as numbers."
    return MakedoInputError(
        f"{where}: {count(n_bad)} of {count(n_edges, 'edge')} name nodes that are not in {among} "
        f"(first: {first(dict.fromkeys(names))}).{hint} "
        'Add them to the nodes, or drop such edges (unknown_nodes="drop").'
    )
