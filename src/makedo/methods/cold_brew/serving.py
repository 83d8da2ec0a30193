"""What each trained part says of rows: the networks of a model, and how they answer in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from makedo.core.checks import MakedoInputError
from makedo.data.features import Matrix, read_rows, stack_rows
from makedo.data.graph import Graph, extend
from makedo.data.nodes import find_nodes, node_index
from makedo.methods.cold_brew.routing import PARTS
from makedo.methods.cold_brew.student import Bank, virtual_neighborhood
from makedo.methods.cold_brew.teacher import StructuralGCN
from makedo.nn.features import Features
from makedo.nn.mlp import FeatureMLP
from makedo.nn.propagation import Propagation

if TYPE_CHECKING:
    from makedo.methods.cold_brew.estimator import ColdBrewClassifier

ROWS = 8192  # rows scored at once
MLP_WIDTH = 128
PLAIN_MLP = {"learning_rate": 0.005, "patience": 50}  # how the plain MLPs are trained


def build_networks(model: ColdBrewClassifier) -> dict[str, nn.Module]:
    """Untrained networks of every part that ``model`` trains on its X_; the caller seeds torch.

    There are two plain MLPs, because neither shape is good everywhere: one with dropout on its
    input for few labels and many features, one with the student's normalised layer.
    """
    n_nodes, n_features = model.X_.shape
    n_classes = len(model.classes_)
    wanted = PARTS if model.cold_part == "auto" else (model.cold_part,)
    student: dict[str, Any] = {"hidden": model.student_hidden, "dropout": model.student_dropout}
    plain: dict[str, Any] = {"hidden": MLP_WIDTH, "norm": False, "activation": "relu"}
    nets: dict[str, nn.Module] = {}
    if "mlp" in wanted:
        nets["mlp"] = FeatureMLP(n_features, 0, n_outputs=n_classes, input_dropout=0.5, **plain)
    if "normed mlp" in wanted:
        nets["normed mlp"] = FeatureMLP(n_features, 0, n_outputs=n_classes, **student)
    nets["teacher"] = StructuralGCN(
        n_nodes,
        n_features,
        model.hidden,
        n_classes,
        model.n_layers,
        model.dropout,
        model.structural,
    )
    if "distilled mlp" in wanted:
        nets["distilled mlp"] = FeatureMLP(n_features, 0, n_outputs=n_classes, **student)
    if "student" in wanted:
        width = nets["teacher"].bank_width(model.bank)
        nets["part 1"] = FeatureMLP(n_features, 0, n_outputs=width, **student)
        nets["part 2"] = FeatureMLP(n_features, 2 * width, n_outputs=n_classes, **student)
    return nets


class Server:
    """Answers of the trained parts for encoded, scaled rows.

    Parameters
    ----------
    nets : mapping of str to Module
        In eval mode, on one device.
    bank : Bank or None
    n_neighbors, temperature
        Of the look-up.
    never : int64 ndarray
        Classes without a training node, which are not predicted.
    """

    def __init__(
        self,
        nets: Mapping[str, nn.Module],
        bank: Bank | None,
        n_neighbors: int,
        temperature: float,
        never: np.ndarray,
    ):
        self.nets, self.bank, self.never = nets, bank, never
        self.n_neighbors, self.temperature = n_neighbors, temperature

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(next(iter(self.nets.values())).parameters()).device

    def blocks(self, X: Matrix) -> Iterator[Features]:
        """The rows in blocks that fit into memory; one empty block where there are none."""
        for start in range(0, max(X.shape[0], 1), ROWS):
            yield Features.of(X[start : start + ROWS], self.device)

    @torch.inference_mode()
    def virtual(self, X: Matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Index, weight and extra of :func:`virtual_neighborhood` for the rows of X, as arrays."""
        found = zip(*map(self._virtual, self.blocks(X)), strict=True)
        index, weight, extra = (torch.cat(column).cpu().numpy() for column in found)
        return index, weight, extra

    @torch.inference_mode()
    def cold(self, X: Matrix, part: str) -> np.ndarray:
        """Class probabilities (n_rows, n_classes) of a part that needs no edges."""
        return self._proba(torch.cat([self._logits(x, part) for x in self.blocks(X)]))

    @torch.inference_mode()
    def warm(self, X: Matrix, graph: Graph) -> np.ndarray:
        """The teacher's probabilities for all nodes of ``graph``, those of the training first."""
        x, propagation = Features.of(X, self.device), Propagation(graph.normalized())
        return self._proba(self.nets["teacher"](x, propagation.to(self.device))[-1])

    def _proba(self, logits: Tensor) -> np.ndarray:
        logits[:, self.never] = -torch.inf
        return logits.softmax(1).cpu().numpy()

    def _virtual(self, x: Features) -> tuple[Tensor, Tensor, Tensor]:
        assert self.bank is not None
        part1 = self.nets["part 1"]
        return virtual_neighborhood(part1, x, self.bank, self.n_neighbors, self.temperature)

    def _logits(self, x: Features, part: str) -> Tensor:
        if part == "student":
            return self.nets["part 2"](x, self._virtual(x)[2])
        if part == "teacher":  # nothing else was trained: the teacher, on nodes that stand alone
            return self.nets["teacher"](x, lambda z: z, 0)[-1]
        return self.nets[part](x)


class Answer(NamedTuple):
    """What a model says of some nodes, and why."""

    ids: pd.Index
    scaled: Matrix  # (n_rows, n_encoded)
    degree: np.ndarray  # (n_rows,)
    proba: np.ndarray  # (n_rows, n_classes)
    teacher: np.ndarray | None  # the teacher's probabilities, where there is a graph to ask it with
    by_teacher: np.ndarray  # (n_rows,) whether they were taken


def answer(model: ColdBrewClassifier, X: Any, nodes: Any, edges: Any, node_id: Any) -> Answer:
    """Route each node by its degree: the teacher from ``degree_threshold_`` on, else ``part_``."""
    owner = type(model).__name__
    if (X is None) == (nodes is None):
        raise MakedoInputError(
            f"{owner}: give either X (new nodes) or nodes= (ids of the training graph)."
        )
    has_teacher, teacher = "teacher" in model.nets_, None
    if nodes is not None:
        ids = pd.Index(nodes)
        rows = find_nodes(owner, model.node_id_, ids)
        everyone = model.scaler_.transform(model.X_)
        scaled, degree = everyone[rows], model.graph_.degree[rows]
        if has_teacher:
            teacher = model._server.warm(everyone, model.graph_)[rows]
    else:
        matrix, ids = read_rows(model, X, allow_empty=True)
        ids = ids if node_id is None else node_index(owner, node_id, len(ids))
        scaled, degree = model.scaler_.transform(matrix), np.zeros(len(ids), dtype=np.int64)
        if edges is not None and len(ids):
            graph, n_known = extend(model.graph_, edges, ids, model.node_id_), model.graph_.n_nodes
            degree = graph.degree[n_known:]
            if has_teacher:
                everyone = stack_rows(model.scaler_.transform(model.X_), scaled)
                teacher = model._server.warm(everyone, graph)[n_known:]
    proba = model._cold(scaled, model.part_)
    by_teacher = (degree >= max(model.degree_threshold_, 1)) & (teacher is not None)
    if teacher is not None:
        proba[by_teacher] = teacher[by_teacher]
    return Answer(ids, scaled, degree, proba, teacher, by_teacher)
