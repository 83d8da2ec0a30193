"""Feature contribution ratio: do the features carry the signal, or does the graph (section 4)?

``z_GNN, z_MLP, z_LP`` are the test scores of a graph network, of an MLP on the features and of
label propagation, which sees the graph alone; each is tuned on validation nodes.  Here the graph
network is a GCN.  Beyond the paper: an interval, and its open corners are settled.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from makedo.baselines.classifier import NodeClassifier
from makedo.baselines.label_propagation import search_label_propagation
from makedo.core.checks import MakedoInputError, MakedoWarning, count
from makedo.core.labels import encode_labels, read_mask, split_labelled
from makedo.core.progress import logger
from makedo.core.seeds import generator
from makedo.data.degrees import homophily
from makedo.data.features import read_rows
from makedo.data.graph import as_graph
from makedo.data.nodes import Nodes, node_index
from makedo.methods.cold_brew.baselines import candidates

if TYPE_CHECKING:
    import pandas as pd

OWNER = "feature_contribution_ratio"
GNN, MLP, LP = "GCN", "MLP", "label propagation"  # names of the candidates
HELD_BACK = 0.25  # of each class for test nodes, then of the rest for validation nodes
FEWEST = 10  # test nodes, below which a bootstrap pretends to know what it cannot


def fcr_of_scores(z_gnn: float, z_mlp: float, z_lp: float) -> float:
    """FCR in per cent, of a graph network, an MLP and label propagation (eq. 7).

    Scores are higher when better.  With δ_MLP = z_GNN − z_MLP and δ_LP = z_GNN − z_LP::

        FCR = δ_LP / (δ_MLP + δ_LP)                 if z_MLP ≤ z_GNN
              1 + |δ_MLP| / (|δ_MLP| + |δ_LP|)      otherwise

    Below 50 the graph matters more, from 50 to 100 the features, above 100 the features alone beat
    the graph network.  The paper leaves two corners open: NaN where all three are equal; 0 where
    label propagation beats a graph network that is not beaten by the features (the formula would
    leave its range there).
    """
    d_mlp, d_lp = z_gnn - z_mlp, z_gnn - z_lp
    if z_mlp > z_gnn:
        return 100 * (1 + abs(d_mlp) / (abs(d_mlp) + abs(d_lp)))
    if d_lp < 0:
        return 0.0
    return 100 * (d_lp / (d_mlp + d_lp)) if d_mlp + d_lp > 0 else math.nan


@dataclass(frozen=True)
class FCR:
    """A measured feature contribution ratio.

    Parameters
    ----------
    ratio : float
        In per cent.
    low, high : float
        Its 95 % bootstrap interval over test nodes.
    z_gnn, z_mlp, z_lp : float
        Accuracy of the graph network, of the MLP and of label propagation.
    lp_beats_gnn : bool
    n_nodes : int
        Test nodes.
    intervals : dict of str to (float, float)
        Those of ``z_gnn``, ``z_mlp`` and ``z_lp``, from the same resamples.
    homophily : float
        Mean over nodes of the share of neighbours with the same label; NaN: not measured.
    settings : dict of str to dict
        What validation chose for each of the three; empty where they were given.
    """

    ratio: float
    low: float
    high: float
    z_gnn: float
    z_mlp: float
    z_lp: float
    lp_beats_gnn: bool
    n_nodes: int
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    homophily: float = math.nan
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def reading(self) -> str:
        """What the ratio and its interval say, in words."""
        beaten = " Label propagation beats the graph network: tune the latter."
        return self._reading + (beaten if self.lp_beats_gnn else "")

    @property
    def _reading(self) -> str:
        if math.isnan(self.ratio):
            equal = "Graph, features and neighbours' labels do equally well"
            return f"{equal}: the ratio is not defined."
        if self.low >= 100:
            return "The features alone beat the graph: use a classifier on the features."
        if self.high < 50:
            return "The graph carries most of the signal: nodes without edges are the hard ones."
        if 50 <= self.low and self.high < 100:
            return "The features carry most of the signal, and the graph adds to it."
        if self.high < 100:
            return "Graph and features both carry signal."
        return "The data do not say whether the graph adds to the features."

    @property
    def side(self) -> str:
        """On which side of 100 % the interval lies, where features and graph network are equal."""
        if self.high < 100:
            return "below 100 %"
        return "at or above 100 %" if self.low >= 100 else "on both sides of 100 %"

    def table(self) -> pd.DataFrame:
        """One line a figure: component, value, low, high; low and high are its 95 % interval."""
        import pandas as pd

        none = (math.nan, math.nan)
        lines = [("feature contribution ratio, %", self.ratio, self.low, self.high)]
        for key, words in (("gnn", "graph network"), ("mlp", "MLP on features"), ("lp", LP)):
            low, high = self.intervals.get(key, none)
            lines.append(
                (f"accuracy of {words}, %", 100 * getattr(self, f"z_{key}"), 100 * low, 100 * high)
            )
        lines += [("homophily", self.homophily, *none), ("test nodes", self.n_nodes, *none)]
        return pd.DataFrame(lines, columns=["component", "value", "low", "high"])


def feature_contribution_ratio(
    X: Any,
    y: Any,
    *,
    graph: Any,
    node_id: Any = None,
    train_mask: Any = None,
    valid_mask: Any = None,
    test_mask: Any = None,
    n_boot: int = 1000,
    budget: int = 8,
    random_state: int = 0,
) -> FCR:
    """Measure whether the features or the graph carry the signal, before any method is chosen.

    A GCN, an MLP and label propagation are tuned on validation nodes and scored on test nodes.  No
    edges are removed.  Below 50 % the graph matters more and nodes without edges are hard; from 50
    to 100 % the features matter more; above 100 % the features alone beat the graph network.

    Parameters
    ----------
    X : data frame, ndarray, scipy sparse or tensor of shape (n_nodes, n_features)
        The index of a frame holds the node ids.
    y : array-like of shape (n_nodes,)
        NaN, None and, for integer classes, -1 are unlabelled.
    graph : Graph, data frame of edges, edge_index, scipy sparse, networkx or PyG data
        Joined by node id; by position it must have exactly n_nodes nodes.
    node_id : array-like of shape (n_nodes,), optional
        Ids of the rows, instead of the index of X.
    train_mask, valid_mask, test_mask : array-like of bool of shape (n_nodes,), optional
        Default: those of ``graph`` (PyG).  Test nodes are else the labelled ones in no other mask,
        or, without a ``train_mask``, a quarter of each class; validation nodes are else a quarter
        of each class of what is left.
    n_boot : int, default=1000
        Resamples of the test nodes, from which the interval comes.
    budget : int, default=8
        Configurations that the GCN and the MLP may try.  Label propagation tries all 50 of the
        paper, which cost less.
    random_state : int, default=0

    Returns
    -------
    FCR
        The ratio with its interval, the three accuracies, homophily, and in ``reading`` what they
        say in words.  The interval is over test nodes; it does not hold what other training nodes
        or other initial weights would change.

    Raises
    ------
    MakedoInputError
        Fewer than ten test nodes, no validation node, no edges, ids or sizes that do not match.

    Warns
    -----
    MakedoWarning
        All three are equally good: the ratio is NaN.

    Notes
    -----
    Time is that of ``budget`` fits of a GCN and of an MLP, and 2,000 products of the adjacency
    matrix with (n_nodes, n_classes).

    References
    ----------
    .. [1] Zheng et al., "Cold Brew: Distilling Graph Node Representations with Incomplete or
       Missing Neighborhoods", ICLR 2022, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo.methods.cold_brew import feature_contribution_ratio
    >>> y = np.arange(80) % 2
    >>> X = np.random.default_rng(0).normal(size=(80, 3)) + y[:, None] / 2  # says little of y
    >>> source, target = np.triu_indices(80, 1)
    >>> like = (y[source] == y[target]) & ((target - source) % 5 == 0)
    >>> edges = np.array([source[like], target[like]])
    >>> fcr = feature_contribution_ratio(X, y, graph=edges, budget=1)
    >>> fcr.homophily, fcr.high < 50
    (1.0, True)
    >>> fcr.reading
    'The graph carries most of the signal: nodes without edges are the hard ones.'
    """
    for name, value in (("n_boot", n_boot), ("budget", budget)):
        if value < 1:
            raise MakedoInputError(f"{OWNER}: {name} must be 1 or more. Got {value}.")
    masks = {"train_mask": train_mask, "valid_mask": valid_mask, "test_mask": test_mask}
    nodes, test, truth = _read(X, y, graph, node_id, masks, random_state)
    right, settings = {}, {}
    for name in (GNN, MLP, LP):
        started = time.perf_counter()
        settings[name], model = tuned(name, nodes, budget=budget, random_state=random_state)
        right[name] = model.predict(nodes=test) == truth[test]
        logger.info("fcr: %s  %.1f s", name, time.perf_counter() - started)
    rng = generator(random_state, "fcr")
    found = measured_fcr(right[GNN], right[MLP], right[LP], rng, n_boot)
    assert nodes.graph is not None
    return replace(found, homophily=homophily(nodes.graph, truth), settings=settings)


def tuned(
    name: str, nodes: Nodes, *, budget: int = 8, random_state: int = 0
) -> tuple[dict[str, Any], NodeClassifier]:
    """The settings of one of the three that are best on validation nodes, and its model."""
    if name == LP:
        assert nodes.graph is not None
        settings, _ = search_label_propagation(nodes.graph, nodes.y, nodes.train, nodes.valid)
        return settings, fitted(name, settings, nodes, random_state)
    best: tuple[dict[str, Any], Any] = {}, None
    best_score = -math.inf
    for configuration in _candidate(name).grid[:budget]:
        model = fitted(name, configuration, nodes, random_state)
        score = float((model.predict(nodes=nodes.valid) == nodes.y[nodes.valid]).mean())
        if score > best_score:
            best, best_score = (dict(configuration), model), score
    return best


def fitted(
    name: str, settings: Mapping[str, Any], nodes: Nodes, random_state: int
) -> NodeClassifier:
    """One of the three, with given settings, fitted on nodes that are known by position."""
    positions = np.arange(len(nodes.y))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MakedoWarning)  # a class without a training node, each time
        return (
            _candidate(name)
            .make(random_state=random_state, **settings)
            .fit(
                nodes.X,
                nodes.y,
                graph=nodes.graph,
                train_mask=np.isin(positions, nodes.train),
                valid_mask=np.isin(positions, nodes.valid),
            )
        )


def measured_fcr(gnn: Any, mlp: Any, lp: Any, rng: np.random.Generator, n_boot: int = 1000) -> FCR:
    """FCR of three predictions of the same test nodes, with a bootstrap interval over these.

    Parameters
    ----------
    gnn, mlp, lp : array-like of shape (n_nodes,) or (n_seeds, n_nodes)
        Whether each is right; NaN where the seed does not test the node.  Of several seeds the
        pooled accuracies are taken; nodes and seeds are both drawn with replacement, and a node
        that is drawn comes with all its tests.
    rng : Generator
    n_boot : int
    """
    right = np.stack([np.atleast_2d(np.asarray(one, dtype=float)) for one in (gnn, mlp, lp)])
    right = right[:, :, ~np.isnan(right[0]).all(0)]  # (3, n_seeds, n_nodes)
    tested = ~np.isnan(right[0])
    right = np.nan_to_num(right)
    n_seeds, n_nodes = tested.shape

    def scores(seeds: np.ndarray, nodes: np.ndarray) -> np.ndarray:
        """Accuracies (3,) where seeds and nodes count so often."""
        n = seeds @ (tested @ nodes)
        return right @ nodes @ seeds / n if n else np.full(3, math.nan)

    def drawn(n: int) -> np.ndarray:
        return np.bincount(rng.integers(n, size=n), minlength=n).astype(float)

    resampled = np.array([scores(drawn(n_seeds), drawn(n_nodes)) for _ in range(n_boot)])
    ratios = np.array([fcr_of_scores(*z) for z in resampled.tolist()])
    z_gnn, z_mlp, z_lp = scores(np.ones(n_seeds), np.ones(n_nodes)).tolist()
    ratio = fcr_of_scores(z_gnn, z_mlp, z_lp)
    if math.isnan(ratio):
        warnings.warn(
            "The feature contribution ratio is not defined: graph network, MLP and label "
            "propagation are equally good.",
            MakedoWarning,
            stacklevel=2,
        )
    intervals = {
        key: _interval(z) for key, z in zip(("gnn", "mlp", "lp"), resampled.T, strict=True)
    }
    low, high = _interval(ratios)
    return FCR(ratio, low, high, z_gnn, z_mlp, z_lp, z_lp > z_gnn, n_nodes, intervals)


def _interval(values: np.ndarray) -> tuple[float, float]:
    """95 % percentile interval of resamples; NaN where none of them is defined."""
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan, math.nan
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _candidate(name: str) -> Any:
    return next(one for one in candidates() if one.name == name)


def _read(
    X: Any, y: Any, graph: Any, node_id: Any, masks: dict[str, Any], random_state: int
) -> tuple[Nodes, np.ndarray, np.ndarray]:
    """What to fit on, without the labels of test nodes; the test nodes; all labels as numbers."""
    reader = type(OWNER, (), {})()  # read_rows keeps there how it reads a table
    matrix, ids = read_rows(reader, X, reset=True)
    ids = ids if node_id is None else node_index(OWNER, node_id, len(ids))
    codes, classes = encode_labels(OWNER, y, len(ids))
    known = as_graph(graph, n_rows=len(ids), row_id=ids).positional()
    if known.n_edges == 0:
        raise MakedoInputError(
            f"{OWNER}: no node of the graph has an edge, so the graph carries no signal. Use a "
            "classifier on the features alone."
        )

    def mask(name: str, *names_there: str) -> np.ndarray | None:
        given = (masks[name], *(getattr(graph, n, None) for n in (name, *names_there)))
        found = next((one for one in given if one is not None), None)
        return read_mask(OWNER, found, name, len(ids))

    train, valid = mask("train_mask"), mask("valid_mask", "val_mask")
    train, valid, test = _split(codes, train, valid, mask("test_mask"), random_state)
    shown = codes.copy()
    shown[test] = -1
    return Nodes(matrix, ids, shown, classes, known, train, valid), test, codes


def _split(
    y: np.ndarray,
    train: np.ndarray | None,
    valid: np.ndarray | None,
    test: np.ndarray | None,
    random_state: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of training, validation and test nodes, all labelled."""
    free = np.ones(len(y), dtype=bool)
    for mask in (train, valid):
        free &= True if mask is None else ~mask
    if test is None:
        test = free
        if train is None:
            rng = generator(random_state, "test nodes")
            _, held_back = split_labelled(OWNER, y, free, None, HELD_BACK, rng)
            test = np.isin(np.arange(len(y)), held_back)
    for name, mask in (("train_mask", train), ("valid_mask", valid)):
        if mask is not None and (n_both := int((mask & test).sum())):
            raise MakedoInputError(f"{OWNER}: {count(n_both, 'node')} in {name} and test_mask.")
    train = free & ~test if train is None else train
    rng = generator(random_state, "validation")
    learnt, judged = split_labelled(OWNER, y, train, valid, HELD_BACK, rng)
    tested = np.flatnonzero(test & (y >= 0))
    if len(tested) < FEWEST:
        raise MakedoInputError(
            f"{OWNER}: {count(len(tested), 'labelled test node')}; at least {FEWEST} are needed "
            "for an interval. Label more nodes, or name other test nodes."
        )
    if not len(judged):
        raise MakedoInputError(
            f"{OWNER}: no labelled validation node to choose settings on. Label more nodes, or "
            "name validation nodes."
        )
    return learnt, judged, tested
