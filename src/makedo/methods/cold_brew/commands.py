"""The verbs of ``makedo cold-brew``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

import makedo
from makedo.core.checks import MakedoInputError, count, first
from makedo.core.diagnosis import Diagnosis
from makedo.core.labels import encode_labels
from makedo.core.progress import logger
from makedo.core.verbs import Batches, Fitted, Model, Page, Rows, Settings, Table
from makedo.data.degrees import degree_splits
from makedo.data.edges import is_text, known_edges
from makedo.data.graph import Graph
from makedo.data.table import split_columns
from makedo.methods import cold_brew

if TYPE_CHECKING:
    from collections.abc import Iterator

HELP = {
    "nodes": "table with one row a node: id, features, label",
    "edges": "table with one row an edge: the ids of its two nodes, and perhaps a weight",
    "source": "column of edges with one end (default: source, else the first)",
    "target": "column of edges with the other end (default: target, else the second)",
    "split": "column of nodes that says train, valid or test (default: we split off validation "
    "nodes)",
    "unknown_nodes": "what to do with edges that name nodes which are not there",
    "checkpoint": "folder for the state of the training; a killed fit, called again, goes on from "
    "there",
    "budget": "configurations that each baseline may try (at most 8)",
    "task": "what to learn: the class of a node, a number, or, without labels, its links",
    "top": "known nodes named for each new one",
    "neighbors": "virtual neighbours shown for each node",
    "rule": "of the paper, a share of the nodes for each group; or of its released code, repeated "
    "medians of the degrees",
    "isolated": "share of nodes that lose all their edges, by the paper's rule",
    "tail": "share of nodes with the fewest edges after that, by the paper's rule",
    "head": "share of nodes with the most edges, by the paper's rule",
    "seed": "seed of all random numbers",
}
Unknown = Literal["error", "drop"]
Task = Literal["classify", "regress", "links"]
CLASSES = {
    "classify": "ColdBrewClassifier",
    "regress": "ColdBrewRegressor",
    "links": "ColdBrewLinkPredictor",
}


def diagnose(
    *,
    nodes: Table,
    edges: Table,
    label: str | None = None,
    task: Task = "classify",
    id: str | None = None,
    features: list[str] | None = None,
    source: str | None = None,
    target: str | None = None,
    unknown_nodes: Unknown = "error",
) -> Diagnosis:
    """Measure whether a graph method would help on nodes without edges, in about a minute."""
    _check_label(task, label, nodes.name)
    X, y, _ = _read_nodes(nodes, id, label, features)
    graph = _read_edges(edges, source, target, X.index, nodes.name, unknown_nodes)
    return getattr(makedo, CLASSES[task])().diagnose(X, y, graph=graph)


def fit(
    *,
    nodes: Table,
    edges: Table,
    label: str | None = None,
    task: Task = "classify",
    id: str | None = None,
    features: list[str] | None = None,
    split: str | None = None,
    source: str | None = None,
    target: str | None = None,
    unknown_nodes: Unknown = "error",
    checkpoint: Path | None = None,
    settings: Settings,
) -> Fitted:
    """Learn from a node table and an edge list, to serve nodes with and without edges."""
    _check_label(task, label, nodes.name)
    if task == "links" and split is not None:
        raise MakedoInputError("--split says which labels to learn from; --task links learns none.")
    model: Any = settings.build(getattr(makedo, CLASSES[task]))
    X, y, masks = _read_nodes(nodes, id, label, features, split, task)
    graph = _read_edges(edges, source, target, X.index, nodes.name, unknown_nodes)
    if task == "links":
        return model.fit(X, graph=graph, checkpoint_dir=checkpoint)
    return model.fit(X, y, graph=graph, checkpoint_dir=checkpoint, **masks)


def predict(
    model: Model,
    *,
    nodes: Batches,
    edges: Table | None = None,
    id: str | None = None,
    source: str | None = None,
    target: str | None = None,
    unknown_nodes: Unknown = "error",
    neighbors: int = 3,
) -> Rows:
    """Predict the class or number of each node: by its features, and by its edges if given."""
    _refuse(model, ["links"], "links")
    if neighbors < 0:
        raise MakedoInputError(f"--neighbors must be 0 or more. Got {neighbors}.")
    frames = nodes if edges is None else [pd.concat(list(nodes), ignore_index=True)]
    for X in _numbered(frames, id, nodes.name):
        ends = _ends_among(edges, source, target, unknown_nodes, model, X)
        explained = _explained(model, X, ends, neighbors, nodes.name)
        yield explained.reset_index(names=X.index.name or "node")


def links(model: Model, *, nodes: Batches, id: str | None = None, top: int = 10) -> Rows:
    """Name the known nodes that each new one will most likely link to."""
    _refuse(model, ["classify", "regress"], "predict")
    for X in _numbered(nodes, id, nodes.name):
        yield model.predict_links(X, top=top)


def evaluate(
    model: Model,
    *,
    nodes: Table,
    label: str | None = None,
    edges: Table | None = None,
    id: str | None = None,
    source: str | None = None,
    target: str | None = None,
    unknown_nodes: Unknown = "error",
) -> Rows:
    """Compare predictions with labels, or predicted links with edges, part by part."""
    X, y, _ = _read_nodes(nodes, id, label, None)
    ends = _ends_among(edges, source, target, unknown_nodes, model, X)
    if isinstance(model, makedo.ColdBrewLinkPredictor):
        return model.evaluate(X, _links(ends, nodes.name))
    if label is None:
        raise MakedoInputError(f"{nodes.name}: --label must name the column to compare with.")
    return model.evaluate(y=y, edges=ends, **_given(model, X, nodes.name))


def report(
    model: Model,
    *,
    nodes: Table | None = None,
    label: str | None = None,
    edges: Table | None = None,
    id: str | None = None,
    source: str | None = None,
    target: str | None = None,
    unknown_nodes: Unknown = "error",
    budget: int = 2,
    show_rows: bool = False,
) -> Page:
    """Did it pay?  On labelled nodes, beside the baselines; without nodes, what the fit stored."""
    if nodes is None:
        return model.report(show_rows=show_rows)
    X, y, _ = _read_nodes(nodes, id, label, None)
    ends = _ends_among(edges, source, target, unknown_nodes, model, X)
    if isinstance(model, makedo.ColdBrewLinkPredictor):
        return model.report(X, _links(ends, nodes.name), show_rows=show_rows)
    if label is None:
        raise MakedoInputError(
            f"{nodes.name}: --label must name the column of labels to compare with."
        )
    where = _given(model, X, nodes.name) | {"edges": ends}
    return model.report(y=y, budget=budget, show_rows=show_rows, **where)


def fcr(
    *,
    nodes: Table,
    edges: Table,
    label: str,
    id: str | None = None,
    features: list[str] | None = None,
    split: str | None = None,
    source: str | None = None,
    target: str | None = None,
    unknown_nodes: Unknown = "error",
    budget: int = 8,
    seed: int = 0,
) -> Rows:
    """Measure the feature contribution ratio: do the features carry the signal, or the graph?

    A graph network, an MLP and label propagation are tuned on validation nodes and scored on test
    nodes.  Below 50 % the graph matters more, from 50 to 100 % the features, above 100 % the
    features alone beat the graph.
    """
    X, y, masks = _read_nodes(nodes, id, label, features, split)
    graph = _read_edges(edges, source, target, X.index, nodes.name, unknown_nodes)
    found = cold_brew.feature_contribution_ratio(
        X, y, graph=graph, budget=budget, random_state=_checked_seed(seed), **masks
    )
    logger.info("%s", found.reading)
    return found.table()


def splits(
    *,
    edges: Table,
    nodes: Table | None = None,
    id: str | None = None,
    source: str | None = None,
    target: str | None = None,
    unknown_nodes: Unknown = "error",
    rule: Literal["paper", "official"] = "paper",
    isolated: float = 0.1,
    tail: float = 0.1,
    head: float = 0.1,
    seed: int = 0,
) -> Rows:
    """Name the nodes of lowest degree, whose edges are to be removed, and the groups by degree.

    One row a node: its id, its degree, its group (isolated, collateral, tail, head or none), and
    its degree after all edges of isolated nodes are removed.  Without a node table the nodes are
    those that the edges name.
    """
    if nodes is None:
        graph = Graph.from_edges(_ends(edges, source, target), where=edges.name)
        ids = graph.node_id
    else:
        ids, _, _ = split_columns(nodes.frame, id=id, where=nodes.name)
        graph = _read_edges(edges, source, target, ids, nodes.name, unknown_nodes)
    assert ids is not None
    parts = degree_splits(
        graph, isolated, tail, head, method=rule, random_state=_checked_seed(seed)
    )
    group = np.full(graph.n_nodes, "", dtype=object)
    for name in ("isolated", "collateral", "tail", "head"):
        group[getattr(parts, name)] = name
    found = {"degree": graph.degree, "group": group, "degree_after": parts.graph.degree}
    return pd.DataFrame({"node" if ids.name in (None, *found) else ids.name: ids} | found)


VERBS = [diagnose, fit, predict, links, evaluate, report, fcr, splits]


# --- files to arguments ---------------------------------------------------------------------------


def _refuse(model: Any, tasks: list[str], verb: str) -> None:
    """Say which verb is for a model of these tasks."""
    name = type(model).__name__
    if name in [CLASSES[task] for task in tasks]:
        raise MakedoInputError(f"The model is a {name}: use makedo cold-brew {verb}.")


def _check_label(task: str, label: str | None, where: str) -> None:
    if label is None and task != "links":
        raise MakedoInputError(f"{where}: --label must name the column of labels to learn.")


def _links(ends: pd.DataFrame | None, where: str) -> pd.DataFrame:
    if ends is None:
        raise MakedoInputError(
            f"{where}: --edges must name a file with the links of these nodes to known ones."
        )
    return ends


def _read_nodes(
    nodes: Table,
    id: str | None,
    label: str | None,
    features: list[str] | None,
    split: str | None = None,
    task: Task = "classify",
) -> tuple[pd.DataFrame, Any, dict[str, Any]]:
    """Features indexed by id, labels, and the masks that a split column says."""
    frame = nodes.frame
    if not len(frame):
        raise MakedoInputError(f"{nodes.name}: the table has no rows.")
    other = [split] if split else []
    _, y, X = split_columns(
        frame, id=id, label=label, features=features, other=other, where=nodes.name
    )
    if not X.shape[1]:
        raise MakedoInputError(
            f"{nodes.name}: no column is left to learn from besides id and label."
        )
    if split is None:
        return X, y, {}
    train, valid = _read_split(frame, split, y, nodes.name)
    if task == "classify":
        _check_classes(split, y, train, nodes.name)
    return X, y, {"train_mask": train} | ({"valid_mask": valid} if valid.any() else {})


def _read_split(
    frame: pd.DataFrame, split: str, y: Any, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Which nodes a split column names for training, and which for validation."""
    if split not in frame:
        raise MakedoInputError(
            f"{where}: no column {split!r} for --split. There are {first(frame.columns, 20)}."
        )
    words = frame[split].astype("object").where(frame[split].notna(), "")
    words = words.map(lambda word: str(word).strip().lower())
    words = words.replace({"val": "valid", "validation": "valid"})
    pointless = (words == "") & y.isna().to_numpy()  # a node without a label needs no word
    if len(odd := words[~words.isin(["train", "valid", "test"]) & ~pointless]):
        raise MakedoInputError(
            f"{where}: column {split!r} has {count(len(odd), 'value')} other than train, valid and "
            f"test (first: {first(dict.fromkeys(odd))})."
        )
    return (words == "train").to_numpy(), (words == "valid").to_numpy()


def _check_classes(split: str, y: Any, train: np.ndarray, where: str) -> None:
    """Every class must have a training node."""
    codes, classes = encode_labels(where, y, len(y))
    never = pd.Series(classes[codes[(codes >= 0) & ~train]]).value_counts()
    never = never.drop(classes[codes[(codes >= 0) & train]], errors="ignore")
    if len(never):
        most = never.head(3).items()
        listed = ", ".join(f"{label!r} ({count(int(n), 'node')})" for label, n in most)
        raise MakedoInputError(
            f"{where}: column {split!r} leaves {count(len(never), 'class', 'classes')} out of "
            f"train ({listed}). Give each class a training node, or empty the labels of those "
            "nodes."
        )


def _checked_seed(seed: int) -> int:
    if seed < 0:
        raise MakedoInputError(f"--seed must be 0 or more. Got {seed}.")
    return seed


def _read_edges(
    edges: Table,
    source: str | None,
    target: str | None,
    ids: pd.Index,
    nodes_where: str,
    unknown_nodes: str,
) -> Graph:
    frame = _ends(edges, source, target)
    graph = Graph.from_edges(
        frame, node_id=ids, unknown_nodes=unknown_nodes, where=edges.name, nodes_where=nodes_where
    )
    # Nodes without ids are named by their row numbers, which are positions.
    return graph.positional() if isinstance(ids, pd.RangeIndex) else graph


def _ends(edges: Table | None, source: str | None, target: str | None) -> pd.DataFrame | None:
    """The edge table with its ends named as asked."""
    if edges is None:
        return None
    frame = edges.frame
    if source is not None and source == target:
        raise MakedoInputError(
            f"{edges.name}: --source and --target are both {source!r}. Name two columns."
        )
    for name, wanted in (("source", source), ("target", target)):
        if wanted is None:
            continue
        if wanted not in frame:
            known = first(frame.columns, 20)
            raise MakedoInputError(
                f"{edges.name}: no column {wanted!r} for --{name}. There are {known}."
            )
        taken = [name] if wanted != name and name in frame else []
        frame = frame.drop(columns=taken).rename(columns={wanted: name})
    return frame


def _ends_among(
    edges: Table | None,
    source: str | None,
    target: str | None,
    unknown_nodes: str,
    model: Any,
    X: pd.DataFrame,
) -> pd.DataFrame | None:
    """The edge table of nodes that are given beside those of the training graph.

    "error" leaves edges that name other nodes in: whoever reads the table refuses them.
    """
    frame = _ends(edges, source, target)
    if edges is None or frame is None or unknown_nodes == "error":
        return frame
    return known_edges(frame, model.node_id_.append(X.index), edges.name)


def _numbered(frames: Any, id: str | None, where: str) -> Iterator[pd.DataFrame]:
    """The features of each batch, indexed by id or, without ids, by row number in the file."""
    start = 0
    for frame in frames:
        _, _, X = split_columns(frame, id=id, where=where)
        yield X.set_axis(X.index + start, axis=0) if isinstance(X.index, pd.RangeIndex) else X
        start += len(X)


def _known(model: Any, X: pd.DataFrame, where: str) -> np.ndarray:
    """Which rows are nodes of the training graph: by id, where both have ids."""
    ids, known = X.index, model.node_id_
    if isinstance(ids, pd.RangeIndex) or isinstance(known, pd.RangeIndex) or not len(ids):
        return np.zeros(len(X), dtype=bool)
    if is_text(ids) != is_text(known):  # '7', or even '007', and 7
        numbers: Any = pd.to_numeric(pd.Series(ids), errors="coerce")
        theirs: Any = pd.to_numeric(pd.Series(known), errors="coerce")
        same = (numbers.notna() & numbers.isin(theirs)).to_numpy()
        if same.any():
            raise MakedoInputError(
                f"{where}: {count(int(same.sum()), 'id')} of {count(len(ids))} look like nodes of "
                f"the training graph but are of another type (first: {first(ids[same])}, there "
                f"{first(known, 1)}). Write the ids as they were in fit."
            )
    return ids.isin(known)


def _explained(
    model: Any, X: pd.DataFrame, edges: pd.DataFrame | None, neighbors: int, where: str
) -> pd.DataFrame:
    """Predictions for a batch; nodes of the training graph are served as such."""
    known = _known(model, X, where)
    parts = []
    if known.any():
        parts.append(model.explain(nodes=X.index[known], n_neighbors=neighbors))
    if not known.all() or not len(X):
        parts.append(model.explain(X[~known], edges=edges, n_neighbors=neighbors))
    return pd.concat(parts).loc[X.index] if len(parts) > 1 else parts[0]


def _given(model: Any, X: pd.DataFrame, where: str) -> dict[str, Any]:
    """The rows as new nodes or as nodes of the training graph."""
    known = _known(model, X, where)
    if known.all():
        return {"nodes": X.index}
    if known.any():
        raise MakedoInputError(
            f"{where}: {count(int(known.sum()))} of {count(len(X), 'node')} are nodes of the "
            f"training graph (first: {first(X.index[known])}), the others are new. Give them in "
            "two files."
        )
    return {"X": X}
