"""How the parts of a link predictor score rows against all known nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from sklearn.preprocessing import normalize
from torch import Tensor, nn

from makedo.core.checks import MakedoInputError, Number, count, first
from makedo.data.features import Matrix
from makedo.data.graph import Graph, extend
from makedo.methods.cold_brew.links.ranking import CELLS, LinkPairs, best, inner_products
from makedo.methods.cold_brew.student import Bank, virtual_neighborhood
from makedo.methods.cold_brew.teacher import StructuralGCN
from makedo.nn.features import FeatureLinear, Features
from makedo.nn.mlp import FeatureMLP
from makedo.nn.propagation import Propagation

if TYPE_CHECKING:
    from makedo.methods.cold_brew.links.predictor import ColdBrewLinkPredictor

# What can rank the known nodes for a new one, from the simplest on.
LINK_PARTS = ("popularity", "features", "linear", "mlp", "teacher", "student")
ENCODERS = ("linear", "mlp")  # both ends of a pair by one network, which sees features only
ROWS = 4096  # rows encoded at once


def build_link_networks(model: ColdBrewLinkPredictor) -> dict[str, nn.Module]:
    """Untrained networks of the parts that ``model`` trains on its X_; the caller seeds torch."""
    n_nodes, n_features = model.X_.shape
    wanted = LINK_PARTS if model.cold_part == "auto" else (model.cold_part,)
    student: dict[str, Any] = {"hidden": model.student_hidden, "dropout": model.student_dropout}
    width = bank = model.embedding_width
    if model.bank == "layers":
        bank += model.hidden * (model.n_layers - 1)
    nets: dict[str, nn.Module] = {}
    if "linear" in wanted:
        nets["linear"] = FeatureLinear(n_features, width)
    if "mlp" in wanted:
        nets["mlp"] = FeatureMLP(n_features, 0, n_outputs=width, **student)
    if {"teacher", "student"} & set(wanted):
        nets["teacher"] = StructuralGCN(
            n_nodes,
            n_features,
            model.hidden,
            width,
            model.n_layers,
            model.dropout,
            model.structural,
        )
    if "student" in wanted:
        nets["part 1"] = FeatureMLP(n_features, 0, n_outputs=bank, **student)
        nets["part 2"] = FeatureMLP(n_features, 2 * bank, n_outputs=width, **student)
        if model.part2 == "correction":  # it starts as no correction
            nn.init.zeros_(nets["part 2"].output.weight)
            nn.init.zeros_(nets["part 2"].output.bias)
    return nets


class LinkServer:
    """Scores of rows against known nodes.

    Parameters
    ----------
    nets : mapping of str to Module
        In eval mode, on one device.
    bank : Bank or None
        None: there is no student.
    n_neighbors, temperature
        Of the look-up.
    moments : ndarray (2, width) or None
        Mean and sd of the bank's last columns, with which part 1's guess becomes one of z; None:
        part 2 is the whole of the student's answer.
    device : torch device
    """

    def __init__(
        self,
        nets: Mapping[str, nn.Module],
        bank: Bank | None,
        n_neighbors: int,
        temperature: float,
        moments: np.ndarray | None,
        device: Any,
    ):
        self.nets, self.bank, self.device = nets, bank, device
        self.n_neighbors, self.temperature, self.moments = n_neighbors, temperature, moments

    @property
    def ready(self) -> list[str]:
        """The parts that can serve: two need no training."""
        trained = [part for part in (*ENCODERS, "teacher") if part in self.nets]
        student = ["student"] if self.bank is not None else []
        return ["popularity", "features", *trained, *student]

    @torch.inference_mode()
    def embed(self, X: Matrix, graph: Graph) -> dict[str, np.ndarray]:
        """Embeddings (n_known, width) by each network, the teacher's on ``graph``."""
        found = {}
        for part in ENCODERS:
            if part in self.nets:
                found[part] = self.query(X, part).cpu().numpy()
        if "teacher" in self.nets:
            x, told = Features.of(X, self.device), Propagation(graph.normalized()).to(self.device)
            found["teacher"] = self.nets["teacher"](x, told)[-1].cpu().numpy()
        return found

    @torch.inference_mode()
    def query(self, X: Matrix, part: str) -> Tensor:
        """Embeddings (n_rows, width) of new rows."""
        blocks = range(0, max(X.shape[0], 1), ROWS)
        return torch.cat([self._z(Features.of(X[i : i + ROWS], self.device), part) for i in blocks])

    def _z(self, x: Features, part: str) -> Tensor:
        if part == "teacher":
            return alone(self.nets["teacher"], x)
        if part != "student":
            return self.nets[part](x)
        return self.student(x, self.look_up(x, self.bank))

    def look_up(self, x: Features, bank: Bank | None) -> Tensor:
        """[ẽ, ê] (n_rows, 2 · width) of rows, their virtual neighbours from ``bank``."""
        assert bank is not None
        part1 = self.nets["part 1"]
        return virtual_neighborhood(part1, x, bank, self.n_neighbors, self.temperature)[2]

    def student(self, x: Features, extra: Tensor) -> Tensor:
        """Embeddings (n_rows, width) of rows whose [ẽ, ê] is ``extra``."""
        z = self.nets["part 2"](x, extra)
        if self.moments is None:
            return z
        with torch.no_grad():
            mean, scale = torch.as_tensor(self.moments, device=extra.device)
            part1 = extra[:, -len(mean) :] * scale + mean  # ê ends with the teacher's last layer
            first = (alone(self.nets["teacher"], x) + part1) / 2
        return z + first


def alone(teacher: nn.Module, x: Features) -> Tensor:
    """The teacher's embedding of nodes without edges and without E (structural embedding)."""
    return teacher(x, lambda z: z, 0)[-1]


def link_scores(
    server: LinkServer, X: Matrix, part: str, known: Callable[[str], Any]
) -> Iterator[tuple[int, Tensor]]:
    """First row and scores (n_block, n_known) of consecutive blocks of rows of X.

    Parameters
    ----------
    known : callable (str) -> array
        What is known of the nodes that may be linked to: their degree (n_known,) for "popularity",
        their scaled features for "features", z (n_known, width) for networks.
    """
    if not X.shape[0]:
        return iter(())
    if part == "features":
        return _cosines(X, known(part))
    if part == "popularity":
        keys = torch.from_numpy(known(part).astype(np.float32))[:, None]
        return inner_products(torch.ones(X.shape[0], 1), keys)
    keys = torch.from_numpy(known(part if part in ENCODERS else "teacher")).to(server.device)
    return inner_products(server.query(X, part), keys)


def _cosines(X: Matrix, known: Matrix) -> Iterator[tuple[int, Tensor]]:
    """Cosine of the features of rows with those of known nodes, block by block."""
    query: Any = normalize(X)
    keys: Any = normalize(known)
    size = max(1, CELLS // max(1, keys.shape[0]))
    for start in range(0, query.shape[0], size):
        block: Any = query[start : start + size] @ keys.T
        block = block.toarray() if sp.issparse(block) else np.asarray(block)
        yield start, torch.from_numpy(np.ascontiguousarray(block, dtype=np.float32))


def ranked(
    blocks: Iterator[tuple[int, Tensor]], ids: pd.Index, known_id: pd.Index, top: int
) -> pd.DataFrame:
    """The ``top`` best known nodes of each row: node, neighbor, rank, score."""
    found = [best(scores, min(top, scores.shape[1])) for _, scores in blocks]
    if not found:
        return pd.DataFrame({"node": ids, "neighbor": known_id[:0], "rank": 0, "score": 0.0})
    index, value = (torch.cat(part).cpu().numpy() for part in zip(*found, strict=True))
    n, k = index.shape
    return pd.DataFrame(
        {
            "node": ids.repeat(k),
            "neighbor": known_id[index.ravel()],
            "rank": np.tile(np.arange(1, k + 1), n),
            "score": value.ravel(),
        }
    )


def check_new(owner: str, ids: pd.Index, known: pd.Index) -> None:
    """Refuse new nodes that have ids of known ones, where both have ids."""
    if isinstance(ids, pd.RangeIndex) or isinstance(known, pd.RangeIndex):
        return
    clash = ids[ids.isin(known)]
    if len(clash):
        raise MakedoInputError(
            f"{owner}: {count(len(clash), 'new node')} of {count(len(ids))} have ids of the "
            f"training graph (first: {first(clash)}). Give nodes that fit did not see, or other "
            "ids."
        )


def true_links(
    owner: str, edges: Any, graph: Graph, new_id: pd.Index, known_id: pd.Index
) -> LinkPairs:
    """The links of new nodes to known ones among ``edges``; those between two new ones are not."""
    n = graph.n_nodes
    grown = extend(graph, edges, new_id, known_id)
    row = np.repeat(np.arange(len(new_id)), grown.degree[n:])
    neighbor = grown.indices[grown.indptr[n] :]
    kept = neighbor < n
    if not kept.any():
        raise MakedoInputError(
            f"{owner}: none of the edges links a new node with a node of the training graph, so "
            "there is nothing to compare with."
        )
    return LinkPairs(row[kept], neighbor[kept])


def score_pairs(
    owner: str, blocks: Iterator[tuple[int, Tensor]], pairs: Any, n_rows: int, n_known: int
) -> np.ndarray:
    """Scores (n_pairs,) of pairs (2, n_pairs): positions of a row and of a known node."""
    array = np.asarray(pairs)
    if array.ndim != 2 or array.shape[0] != 2 or (array.size and array.dtype.kind not in "iu"):
        raise MakedoInputError(
            f"{owner}: pairs must be whole numbers of shape (2, n_pairs), rows of X above "
            f"positions of known nodes. Got {array.dtype} of shape {array.shape}."
        )
    outside = ((array < 0) | (array >= np.array([[n_rows], [n_known]]))).any(0)
    if outside.any():
        raise MakedoInputError(
            f"{owner}: {count(int(outside.sum()))} of {count(array.shape[1], 'pair')} are not in "
            f"range({n_rows:,}) and range({n_known:,}) (first: {first(array[:, outside].T)})."
        )
    found = np.empty(array.shape[1], dtype=np.float32)
    for start, scores in blocks:
        here = (array[0] >= start) & (array[0] < start + len(scores))
        row, known = (torch.from_numpy(part[here].copy()) for part in array.astype(np.int64))
        found[here] = scores.cpu()[row - start, known].numpy()
    return found


def check_links_restored(model: ColdBrewLinkPredictor) -> None:
    """Raise what wrong sizes and types raise, now and not when the model is first used."""
    n = model.graph_.n_nodes
    fits = {
        "X_": len(np.shape(model.X_)) == 2 and model.X_.shape[0] == n,
        "node_id_": isinstance(model.node_id_, pd.Index) and len(model.node_id_) == n,
        "part_": isinstance(model.part_, str),
        "n_features_in_": Number(1, integer=True).accepts(getattr(model, "n_features_in_", None)),
        "part_scores_": isinstance(model.part_scores_, dict)
        and all(isinstance(score, float) for score in model.part_scores_.values()),
        "history_": isinstance(model.history_, pd.DataFrame),
        "validation_": isinstance(model.validation_, pd.DataFrame),
        "embedding_": isinstance(model.embedding_, dict)
        and all(np.shape(z) == (n, model.embedding_width) for z in model.embedding_.values()),
    }
    if wrong := [name for name, good in fits.items() if not good]:
        raise ValueError(f"{', '.join(wrong)} cannot be as stored")
    one = model.scaler_.transform(model.X_[:1])
    for part in {model.part_, *model.part_scores_}:
        if part not in model._server.ready:
            raise ValueError(f"what {part} needs is missing")
        list(model._scores(one, part))


def link_card(model: ColdBrewLinkPredictor) -> str:
    """Say in the model card what serves, and which files hold rows of the user's."""
    scores = ", ".join(f"{part} {score:.3f}" for part, score in model.part_scores_.items())
    return (
        f"Names the nodes that a new one will link to; learnt from {model.graph_!r}.\n\nThe "
        f"ranking is that of: {model.part_} (mean reciprocal rank of hidden links of validation "
        f"nodes among 20 negatives: {scores}).\n\n`weights.safetensors` and `tables.parquet` hold "
        "the features, edges and ids of the training nodes: keep this directory as private as that "
        "data."
    )
