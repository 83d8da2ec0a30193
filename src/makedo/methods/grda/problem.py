"""What ``fit`` is given, read and checked: rows, labels of sources, domains, their graph."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from makedo.core.checks import MakedoInputError, MakedoWarning, count, first
from makedo.data.domains import UNREACHABLE, DomainGraph, as_domain_graph
from makedo.data.features import read_rows
from makedo.data.table import as_frame
from makedo.methods.grda.tasks import is_known


@dataclass(frozen=True)
class Problem:
    """Rows in domains, some of which have labels.

    Attributes
    ----------
    X : float32 ndarray (n, …)
    ids : Index of length n
    y : ndarray (n,) or (n, n_outputs)
        Class numbers, or numbers; −1 or NaN where no label may be seen.
    classes : ndarray
        Empty where numbers are predicted.
    domain : int64 ndarray (n,)
        Positions in the graph.
    graph : DomainGraph
    """

    X: np.ndarray
    ids: pd.Index
    y: np.ndarray
    classes: np.ndarray
    domain: np.ndarray
    graph: DomainGraph

    @property
    def labelled(self) -> np.ndarray:
        """Rows with a label, bool (n,)."""
        return is_known(self.y)

    @property
    def sources(self) -> np.ndarray:
        """Positions of the domains with a label."""
        return np.unique(self.domain[self.labelled])

    @property
    def targets(self) -> np.ndarray:
        """Positions of the domains with rows and without a label."""
        return np.setdiff1d(self.domain, self.sources)


def read_problem(
    model: Any, X: Any, y: Any, domain: Any, graph: Any, sources: Any, sample_domain: Any
) -> Problem:
    """Read the arguments of ``fit``; the labels of targets are dropped before anything is learnt.

    Raises
    ------
    MakedoInputError
        Rows, labels, domains or graph that cannot be used.

    Warns
    -----
    MakedoWarning
        Targets that no path joins to a source; domains of the graph without rows; targets with
        less than half the rows of a batch.
    """
    owner = type(model).__name__
    known = as_domain_graph(graph, f"{owner}: graph")
    if sample_domain is not None:
        if domain is not None or sources is not None:
            raise MakedoInputError(
                f"{owner}: sample_domain names domains and sources itself. Pass it alone, or "
                "domain= and sources=."
            )
        signed = np.asarray(sample_domain)
        domain, sources = np.abs(signed), np.unique(np.abs(signed[signed > 0]))
    if domain is None:
        raise MakedoInputError(
            f"{owner} needs to know the domain of each row. Pass domain=, a column of X or one "
            "value a row."
        )
    matrix, ids, given = read_domain_rows(model, X, domain, reset=True)
    positions = known.positions(given, f"{owner}: domain")
    if sources is not None:
        theirs = known.positions(list(sources), f"{owner}: sources")
        y = without_labels(y, ~np.isin(positions, theirs))
    codes, classes = model._encode(owner, y, len(ids))
    problem = Problem(matrix, ids, codes, classes, positions, known)
    _warn_of(model, problem)
    return problem


def without_labels(y: Any, hidden: np.ndarray) -> Any:
    """The labels, missing where ``hidden``; of another length than that they are left alone."""
    table = y.detach().cpu().numpy() if hasattr(y, "detach") else y
    values = np.array(table, dtype=object)
    if values.ndim == 0 or len(values) != len(hidden):
        return y
    values[hidden] = None
    return values if values.ndim > 1 else pd.Series(values).infer_objects()


def read_domain_rows(
    model: Any, X: Any, domain: Any, *, reset: bool = False
) -> tuple[np.ndarray, pd.Index, Any]:
    """Rows without their column of domains, their ids, and the domain of each row by name.

    ``domain`` is a column of X (name or position), or one name a row; None is that of ``fit``.
    """
    owner = type(model).__name__
    column = domain if _is_column(domain) else None
    if domain is None and not reset:
        if model.domain_column_ is None:
            raise MakedoInputError(
                f"{owner}: the domain of each row is needed. Pass domain=, one value a row."
            )
        column = model.domain_column_
    if column is None:
        matrix, ids = _read_matrix(model, X, reset)
        if reset:
            model.domain_column_ = None
        assert domain is not None
        if np.ndim(domain) != 1 or len(domain) != len(ids):
            raise MakedoInputError(
                f"{owner}: domain must hold one name a row. Got shape {np.shape(domain)} for "
                f"{count(len(ids), 'row')}."
            )
        return matrix, ids, domain
    if hasattr(X, "columns") or hasattr(X, "column_names") or hasattr(X, "collect_schema"):
        return _split_frame(model, as_frame(X, f"{owner}: X"), column, reset)
    matrix, ids = read_rows(model, X, reset=reset, allow_empty=not reset)
    dense: Any = matrix.toarray() if sp.issparse(matrix) else matrix
    if isinstance(column, str) or not -dense.shape[1] <= column < dense.shape[1]:
        raise MakedoInputError(
            f"{owner}: X has no column {column!r}. Give the position of the domain's column, a "
            "data frame with that column, or one domain a row."
        )
    if dense.shape[1] == 1:
        raise MakedoInputError(f"{owner}: X has no column besides that of the domain.")
    if reset:
        model.domain_column_ = int(column)
    return np.delete(dense, int(column), axis=1), ids, dense[:, int(column)]


def _is_column(domain: Any) -> bool:
    return isinstance(domain, (str, int, np.integer)) and not isinstance(domain, bool)


def _split_frame(
    model: Any, frame: pd.DataFrame, column: Any, reset: bool
) -> tuple[np.ndarray, pd.Index, Any]:
    """A frame with its domains in a column, by name; in ``fit`` also by position."""
    owner = type(model).__name__
    if not reset and model.table_ is None:  # fit saw a matrix
        return read_domain_rows(model, frame.to_numpy(), column)
    if reset and column not in frame.columns and not isinstance(column, str):
        if not 0 <= column < frame.shape[1]:
            raise MakedoInputError(f"{owner}: X has no column {column}. Give a name or a position.")
        column = frame.columns[column]
    if column not in frame.columns:
        raise MakedoInputError(
            f"{owner}: X has no column {column!r} of domains (it has {first(frame.columns)} …)."
        )
    rest = frame.drop(columns=[column])
    matrix, ids = read_rows(model, rest, reset=reset, allow_empty=not reset)
    if reset:
        model.domain_column_ = str(column)
        model.n_features_in_ = frame.shape[1]
        model.feature_names_in_ = np.array([str(c) for c in frame.columns], dtype=object)
    return matrix.toarray() if sp.issparse(matrix) else matrix, ids, frame[column]


def _read_matrix(model: Any, X: Any, reset: bool) -> tuple[np.ndarray, pd.Index]:
    """Rows of any table, or of an array of more dimensions where the encoder is the user's."""
    if len(np.shape(X)) <= 2 or isinstance(model.encoder, str):
        matrix, ids = read_rows(model, X, reset=reset, allow_empty=not reset)
        return matrix.toarray() if sp.issparse(matrix) else matrix, ids
    owner = type(model).__name__
    array = X.detach().cpu().numpy() if hasattr(X, "detach") else np.asarray(X)
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise MakedoInputError(f"{owner}: X must hold finite numbers. Impute gaps first.")
    if reset:
        if not len(array):
            raise MakedoInputError(f"{owner}: X has no rows.")
        model.table_, model.n_features_in_ = None, array.shape[1]
    return np.ascontiguousarray(array, dtype=np.float32), pd.RangeIndex(len(array))


def flat_rows(X: np.ndarray) -> np.ndarray:
    """Rows of any shape as rows of one dimension, (n, n_features)."""
    return X.reshape(len(X), int(np.prod(X.shape[1:])))


def _warn_of(model: Any, problem: Problem) -> None:
    owner, graph, texts = type(model).__name__, problem.graph, []
    hops = graph.hops(graph.names[problem.sources])
    lost = problem.targets[hops[problem.targets] == UNREACHABLE]
    if len(lost):
        texts.append(
            f"no path of the graph joins {count(len(lost), 'target domain')} to a source (first: "
            f"{first(graph.names[lost])}): nothing can be passed on to them, and they are "
            "predicted as if they were sources. Add edges, or leave them out."
        )
    empty = np.setdiff1d(np.arange(graph.n_domains), problem.domain)
    if len(empty):
        texts.append(
            f"{count(len(empty), 'domain')} of the graph without rows (first: "
            f"{first(graph.names[empty])}): not adapted to, and no path leads through them."
        )
    sizes = np.bincount(problem.domain, minlength=graph.n_domains)
    small = problem.targets[2 * sizes[problem.targets] < model.batch_size]
    if len(small) and model.method in ("auto", "network"):
        texts.append(
            f"{count(len(small), 'target domain')} with less than half the rows of a batch "
            f"(first: {first(graph.names[small])}): the same few come again and again, and nothing "
            f"can be said of how such a domain looks. Give more rows, or lower batch_size="
            f"{model.batch_size}."
        )
    for text in texts:
        warnings.warn(f"{owner}: {text}", MakedoWarning, stacklevel=4)
