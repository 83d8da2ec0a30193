"""What each trained part says of rows: the networks of a model, and how they answer in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from makedo.core.checks import MakedoInputError, count, first
from makedo.core.progress import logger
from makedo.data.features import Matrix, read_rows, stack_rows
from makedo.data.graph import Graph, extend
from makedo.data.nodes import find_nodes, node_index
from makedo.methods.cold_brew.routing import PARTS
from makedo.methods.cold_brew.student import Bank, virtual_neighborhood
from makedo.methods.cold_brew.tasks import Pool, Task, asked, pooled
from makedo.methods.cold_brew.teacher import StructuralGCN
from makedo.nn.features import Features
from makedo.nn.mlp import FeatureMLP
from makedo.nn.propagation import Propagation

if TYPE_CHECKING:
    from makedo.methods.cold_brew.estimator import ColdBrew

ROWS = 65_536  # rows scored at once
STEP = 16  # of which a block has a multiple
MLP_WIDTH = 128
PLAIN_MLP = {"learning_rate": 0.005, "patience": 100}  # how the plain MLPs are trained


def build_networks(model: ColdBrew) -> dict[str, nn.Module]:
    """Untrained networks of every part that ``model`` trains on its X_; the caller seeds torch.

    There are two plain MLPs, because neither shape is good everywhere: one with dropout on its
    input for few labels and many features, one with the student's normalised layer.
    """
    n_nodes, n_features = model.X_.shape
    n_outputs = model._task.n_outputs
    wanted = PARTS if model.cold_part == "auto" else (model.cold_part,)
    student: dict[str, Any] = {"hidden": model.student_hidden, "dropout": model.student_dropout}
    plain: dict[str, Any] = {"hidden": MLP_WIDTH, "norm": False, "activation": "relu"}
    nets: dict[str, nn.Module] = {}
    if "mlp" in wanted:
        nets["mlp"] = FeatureMLP(n_features, 0, n_outputs=n_outputs, input_dropout=0.5, **plain)
    if "normed mlp" in wanted:
        nets["normed mlp"] = FeatureMLP(n_features, 0, n_outputs=n_outputs, **student)
    nets["teacher"] = StructuralGCN(
        n_nodes,
        n_features,
        model.hidden,
        n_outputs,
        model.n_layers,
        model.dropout,
        model.structural,
        model.skip,
        model.skip_weight,
        model.norm,
        model.graph_dropout,
    )
    if "distilled mlp" in wanted:
        nets["distilled mlp"] = FeatureMLP(n_features, 0, n_outputs=n_outputs, **student)
    if "student" in wanted:
        width = nets["teacher"].bank_width(model.bank)
        nets["part 1"] = FeatureMLP(n_features, 0, n_outputs=width, **student)
        n_extra = len(range(2 * width)[beside(model.student_inputs, width)])
        nets["part 2"] = FeatureMLP(n_features, n_extra, n_outputs=n_outputs, **student)
    return nets


def beside(student_inputs: str, width: int) -> slice:
    """The columns of [ẽ, ê] that part 2 sees beside the features."""
    some = {"neighbors": slice(width), "guess": slice(width, None)}
    return some.get(student_inputs, slice(None))


class Server:
    """Answers of the trained parts, alone and pooled, for encoded and scaled rows.

    Parameters
    ----------
    task : Task
    nets : mapping of str to Module
        In eval mode, on one device.
    bank : Bank or None
    n_neighbors, temperature
        Of the look-up.
    student_inputs : {"both", "neighbors", "guess"}
    """

    def __init__(
        self,
        task: Task,
        nets: Mapping[str, nn.Module],
        bank: Bank | None,
        n_neighbors: int,
        temperature: float,
        student_inputs: str,
    ):
        self.task, self.nets, self.bank = task, nets, bank
        self.n_neighbors, self.temperature = n_neighbors, temperature
        self.student_inputs = student_inputs

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(next(iter(self.nets.values())).parameters()).device

    def blocks(self, X: Matrix) -> Iterator[tuple[Features, int]]:
        """The rows in blocks that fit into memory, and how many of each block are rows of X.

        Zero rows fill a block up to a multiple of STEP: products of matrices add up in another
        order for very few rows, and one row alone is to get exactly what it gets among others.
        """
        for start in range(0, max(X.shape[0], 1), ROWS):
            block = X[start : start + ROWS]
            n = block.shape[0]
            if lack := (STEP - n) % STEP or STEP * (n == 0):
                block = stack_rows(block, np.zeros((lack, X.shape[1]), dtype=np.float32))
            yield Features.of(block, self.device), n

    @torch.inference_mode()
    def virtual(self, X: Matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Index, weight and extra of :func:`virtual_neighborhood` for the rows of X, as arrays."""
        found = [[column[:n] for column in self._virtual(x)] for x, n in self.blocks(X)]
        index, weight, extra = (torch.cat(c).cpu().numpy() for c in zip(*found, strict=True))
        return index, weight, extra

    @torch.inference_mode()
    def cold(self, X: Matrix, part: str) -> np.ndarray:
        """The answer (n_rows, n_outputs) of a part that needs no edges."""
        outputs = [self._outputs(x, part)[:n] for x, n in self.blocks(X)]
        return self.task.answer(torch.cat(outputs))

    def pooled(self, X: Matrix, pool: Pool) -> np.ndarray:
        """The pooled answer (n_rows, n_outputs) of parts that need no edges."""
        return pooled(self.task, pool, {part: self.cold(X, part) for part in asked(pool)})

    @torch.inference_mode()
    def warm(self, X: Matrix, graph: Graph) -> np.ndarray:
        """The teacher's answer for all nodes of ``graph``, those of the training first."""
        x, propagation = Features.of(X, self.device), Propagation(graph.normalized())
        return self.task.answer(self.nets["teacher"](x, propagation.to(self.device))[-1])

    def _virtual(self, x: Features) -> tuple[Tensor, Tensor, Tensor]:
        assert self.bank is not None
        part1 = self.nets["part 1"]
        return virtual_neighborhood(part1, x, self.bank, self.n_neighbors, self.temperature)

    def _outputs(self, x: Features, part: str) -> Tensor:
        if part == "student":
            extra = self._virtual(x)[2]
            columns = beside(self.student_inputs, extra.shape[1] // 2)
            return self.nets["part 2"](x, extra[:, columns])
        if part == "teacher":  # on nodes that stand alone
            return self.nets["teacher"](x, lambda z: z, 0)[-1]
        return self.nets[part](x)


class Answer(NamedTuple):
    """What a model says of some nodes, and why."""

    ids: pd.Index
    scaled: Matrix  # (n_rows, n_encoded)
    degree: np.ndarray  # (n_rows,)
    said: np.ndarray  # (n_rows, n_outputs), what is served
    teacher: np.ndarray | None  # the teacher's answer, where there is a graph to ask it with
    route: np.ndarray  # (n_rows,) what served each node: UNLINKED, LINKED or TEACHER


def answer(model: ColdBrew, X: Any, nodes: Any, edges: Any, node_id: Any) -> Answer:
    """Answer for new nodes (X), or nodes of the training graph, each by what its degree calls for.

    The teacher serves from ``degree_threshold_`` on; below it the pool for linked nodes; nodes
    without edges have a pool of their own.
    """
    owner = type(model).__name__
    if (X is None) == (nodes is None):
        raise MakedoInputError(
            f"{owner}: give either X (new nodes) or nodes= (ids of the training graph)."
        )
    server, teacher = model._server, None
    if nodes is not None:
        ids = pd.Index(nodes)
        rows = find_nodes(owner, model.node_id_, ids)
        everyone = model.scaler_.transform(model.X_)
        scaled, degree = everyone[rows], model.graph_.degree[rows]
        if "teacher" in model.nets_:
            teacher = server.warm(everyone, model.graph_)[rows]
    else:
        matrix, ids = read_rows(model, X, allow_empty=True)
        ids = ids if node_id is None else node_index(owner, node_id, len(ids))
        scaled, degree = model.scaler_.transform(matrix), np.zeros(len(ids), dtype=np.int64)
        _note_empty_rows(owner, matrix, ids, edges is not None)
        if edges is not None and len(ids):
            graph, n_known = extend(model.graph_, edges, ids, model.node_id_), model.graph_.n_nodes
            degree = graph.degree[n_known:]
            if "teacher" in model.nets_:
                everyone = stack_rows(model.scaler_.transform(model.X_), scaled)
                teacher = server.warm(everyone, graph)[n_known:]
    said, route = routed(model, server, scaled, degree, teacher)
    return Answer(ids, scaled, degree, said, teacher, route)


def _note_empty_rows(owner: str, X: Matrix, ids: pd.Index, with_edges: bool) -> None:
    """Say that rows without any feature, and without edges, cannot be told apart."""
    empty = np.flatnonzero(np.asarray(abs(X).sum(1)).ravel() == 0)
    if len(empty) and not with_edges:
        logger.info(
            "%s: %s of %s have no features (all are zero) and no edges (first: %s): all get the "
            "same answer, which says nothing of them.",
            owner,
            count(len(empty), "new node"),
            count(len(ids)),
            first(ids[empty]),
        )


UNLINKED, LINKED, TEACHER = "unlinked", "linked", "teacher"


def routed(
    model: ColdBrew,
    server: Server,
    scaled: Matrix,
    degree: np.ndarray,
    teacher: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """What is served (n_rows, n_outputs), and by what (n_rows,)."""
    route = np.where(degree == 0, UNLINKED, LINKED).astype(object)
    if teacher is not None:
        route[(degree > 0) & (degree >= model.degree_threshold_)] = TEACHER
    said = np.zeros((scaled.shape[0], server.task.n_outputs))
    for name, pool in ((UNLINKED, model.unlinked_pool_), (LINKED, model.linked_pool_)):
        rows = np.flatnonzero(route == name)
        if len(rows) or not len(said):
            said[rows] = server.pooled(scaled[rows], pool)
    if teacher is not None:
        rows = np.flatnonzero(route == TEACHER)
        said[rows] = server.task.tempered(teacher[rows], model.teacher_temperature_)
    return said, route
