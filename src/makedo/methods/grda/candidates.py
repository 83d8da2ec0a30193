"""The ways to predict in a target domain, fitted and chosen among; and what each says of rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from makedo.core.checks import MakedoInputError, MakedoWarning, count
from makedo.core.training import Training
from makedo.methods.grda.linear import (
    HopByHop,
    Linear,
    WithMeans,
    fit_base,
    fit_with_means,
    hop_by_hop,
    log_losses,
    scaled_losses,
)
from makedo.methods.grda.problem import Problem, flat_rows
from makedo.methods.grda.selection import FEWEST_SOURCES, choose, hidden_sources
from makedo.methods.grda.tasks import Classification, Task
from makedo.methods.grda.team import Player, Rows, Team, play

if TYPE_CHECKING:
    from makedo.methods.grda.estimator import GRDA

LINEAR, MEANS = "source only", "source only with domain means"
SELF_TRAINING, NETWORK = "self-training along hops", "source-only network"
SIMPLE = {"linear": LINEAR, "domain-means": MEANS, "self-training": SELF_TRAINING}  # by ``method``
TITLES = {
    "graph": "GRDA", "dann": "DANN", "cdann": "CDANN", "cida": "CIDA", "adda": "ADDA-style",
    "mdd": "MDD",
}  # fmt: skip
WEIGHTS = (0.0, 0.1, 0.3, 1.0)  # λ that are tried
LEAST_CHANCE = 1e-6


def adapted(model: GRDA, weight: float) -> str:
    """Name of the network trained with λ = ``weight``."""
    return NETWORK if weight == 0 else f"{TITLES[model.adversary]}, λ = {weight:g}"


class OwnBase:
    """A user's fitted estimator as base: its scores are log-probabilities, or scaled numbers."""

    def __init__(self, estimator: Any, task: Task):
        self.estimator, self.task = estimator, task

    def scores(self, X: np.ndarray) -> np.ndarray:
        """Outputs (n, n_outputs), float32."""
        flat = flat_rows(X)
        if not isinstance(self.task, Classification):
            said = np.asarray(self.estimator.predict(flat), dtype=np.float32)
            return said.reshape(len(X), -1)
        chance = np.full((len(X), self.task.n_outputs), LEAST_CHANCE, dtype=np.float32)
        chance[:, self.estimator.classes_] = self.estimator.predict_proba(flat)
        return np.log(np.maximum(chance, LEAST_CHANCE))

    def to_state(self) -> dict[str, Any]:
        """Refuse: what the estimator learnt is its own."""
        raise MakedoInputError(
            f"save: base_estimator is a {type(self.estimator).__name__}, which a model directory "
            'cannot hold. Fit with base_estimator="linear" or "domain-means" to save.'
        )


@dataclass(frozen=True)
class Simple:
    """The models without a network, from the labels of some rows.

    Attributes
    ----------
    linear : Linear or OwnBase
        "Do nothing".
    means : WithMeans or None
        Where ``base_estimator`` or ``method`` asks for it.
    hops : HopByHop
    """

    linear: Linear | OwnBase
    means: WithMeans | None
    hops: HopByHop

    def scores(self, X: np.ndarray, domain: np.ndarray) -> dict[str, np.ndarray]:
        """What each says of rows, (n, n_outputs), by name, from the simplest."""
        said = {LINEAR: self.linear.scores(X)}
        if self.means is not None:
            said[MEANS] = self.means.scores(X, domain)
        said[SELF_TRAINING] = self.hops.scores(X, domain)
        return said

    def to_state(self) -> dict[str, Any]:
        """Plain values for a model directory."""
        return {"linear": self.linear, "means": self.means, "hops": self.hops}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Simple:
        """The inverse of :meth:`to_state`, of states."""
        means = None if state["means"] is None else WithMeans.from_state(state["means"])
        return cls(Linear(**state["linear"]), means, HopByHop.from_state(state["hops"]))

    def base(self, X: np.ndarray, domain: np.ndarray) -> np.ndarray:
        """What networks correct."""
        if self.means is None:
            return self.linear.scores(X)
        return self.means.scores(X, domain)


class Candidates:
    """Fits the base model, self-training and networks, and chooses which of them serves.

    Attributes
    ----------
    simple : Simple
    team : Team or None
        Networks, one for each of ``weights``.
    weights : list of float
    served : str
        Name of the candidate that predicts.
    selection, hidden_losses : DataFrame
        See :class:`makedo.methods.grda.selection.Choice`; empty where nothing was chosen.
    domain_encoding, edge_chance : ndarray or None
        See :meth:`makedo.methods.grda.team.Game.summary`.
    target_hop : float
        Mean hops of targets to the nearest source.
    """

    def __init__(self, model: GRDA, problem: Problem, rows: Rows, training: Training):
        self.model, self.problem, self.rows, self.training = model, problem, rows, training
        self.task = model._task
        self.y = self.task.scaled(problem.y)  # (n,) or (n, n_outputs)
        self.flat = flat_rows(rows.X)
        self.selection, self.hidden_losses = pd.DataFrame(), pd.DataFrame()
        hops = problem.graph.hops(problem.graph.names[problem.sources])[problem.targets]
        reachable = hops[hops > 0]
        self.target_hop = float(reachable.mean()) if len(reachable) else 1.0

    def fit(self) -> Candidates:
        """Do all of it; afterwards the attributes are there."""
        labelled, method = self.problem.labelled, self.model.method
        self.simple = self._simple(labelled)
        self.team, self.weights = None, []
        self.domain_encoding, self.edge_chance = None, None
        if method in SIMPLE:
            self.served = SIMPLE[method]
            return self
        weight = self.model.domain_weight
        if method == "auto" or isinstance(weight, str):
            self.served = self._select()
            listed = list(self.selection["candidate"]) if len(self.selection) else [self.served]
            chosen = [w for w in self._tried() if adapted(self.model, w) == self.served]
            others = [w for w in self._tried() if w > 0 and adapted(self.model, w) in listed]
            weight = chosen[0] if chosen else self._best_of(others)
        else:
            self.served = adapted(self.model, weight)
        self.weights = [0.0, weight] if method == "auto" and weight > 0 else [float(weight)]
        players = [self._player(w, labelled, self.simple) for w in self.weights]
        game = play(self.model, self.training, "adaptation", self.rows, players, self.task)
        if game is not None:
            self.team = game.result
            self.domain_encoding, self.edge_chance = game.summary()
        elif self.served not in SIMPLE.values():
            self.served = LINEAR  # stopped before there was a network
        return self

    def _tried(self) -> list[float]:
        weight = self.model.domain_weight
        return list(WEIGHTS) if isinstance(weight, str) else sorted({0.0, weight})

    def _best_of(self, weights: list[float]) -> float:
        """Of networks that were not chosen, the one with the least loss: reports show it."""
        if not weights:
            return max(self._tried())
        loss = self.selection.set_index("candidate")["loss"]
        return min(weights, key=lambda w: loss[adapted(self.model, w)])

    def _simple(self, labelled: np.ndarray) -> Simple:
        """The models without a network, from the labels of some rows."""
        task, X, domain = self.task, self.flat, self.rows.domain
        linear = fit_base(task, X[labelled], self.y[labelled], domain[labelled])
        hops = hop_by_hop(task, X, self.y, labelled, domain, self.rows.adjacency, linear)
        given, means = self.model._base, None
        if hasattr(given, "fit"):
            y = self.y[labelled]
            fresh: Any = clone(given)
            fitted = fresh.fit(X[labelled], y[:, 0] if y.shape[1:] == (1,) else y)
            return Simple(OwnBase(fitted, task), None, hops)
        if "domain-means" in (given, self.model.method):
            means = fit_with_means(task, X, self.y, labelled, domain, len(self.rows.z), linear)
        return Simple(linear, means, hops)

    def _player(self, weight: float, labelled: np.ndarray, simple: Simple) -> Player:
        corrects = self.model._base is not None
        offset = simple.base(self.flat, self.rows.domain) if corrects else None
        return Player(weight, self.y, labelled, offset)

    # --- selection --------------------------------------------------------------------------------

    def _select(self) -> str:
        """Name of the candidate to serve, by the sources that are hidden in turn."""
        sources = self.problem.sources
        if len(sources) < FEWEST_SOURCES:
            warnings.warn(
                f"{type(self.model).__name__}: {count(len(sources), 'source domain')}; choosing "
                f"without target labels takes {FEWEST_SOURCES}. The source-only model serves: set "
                "method= and domain_weight= to have another.",
                MakedoWarning,
                stacklevel=5,
            )
            return LINEAR if self.model.method == "auto" else NETWORK
        lines = sorted(self._hidden_losses(), key=lambda line: line[0])
        names = ["candidate", "fold", "domain", "hop", "loss", "log_loss"][: len(lines[0]) - 1]
        losses = pd.DataFrame([line[1:] for line in lines], columns=names)
        choice = choose(losses, self.target_hop, alike=tuple(SIMPLE.values()))
        self.selection, self.hidden_losses = choice.table, choice.losses
        return choice.best

    def _hidden_losses(self) -> Iterator[tuple[Any, ...]]:
        """Rank of a candidate, its name, the fold, a hidden source, its hops, the losses there."""
        graph, labelled, domain = self.problem.graph, self.problem.labelled, self.rows.domain
        groups = hidden_sources(graph, self.problem.sources)
        seen = [labelled & ~np.isin(domain, group) for group in groups]
        simple = [self._simple(mask) for mask in seen]
        weights = self._tried()
        players = [
            self._player(weight, mask, one)
            for mask, one in zip(seen, simple, strict=True)
            for weight in weights
        ]
        game = play(self.model, self.training, "selection", self.rows, players, self.task)
        for g, (group, one) in enumerate(zip(groups, simple, strict=True)):
            rows = np.flatnonzero(labelled & np.isin(domain, group))
            rest = np.setdiff1d(self.problem.sources, group)
            far = graph.hops(graph.names[rest])
            here = self.flat[rows], domain[rows]
            said = one.scores(*here) if self.model.method == "auto" else {}
            if game is not None:
                outputs = game.result.run(self.rows.X[rows], self.rows.z[domain[rows]])[1]
                for w, weight in enumerate(weights):
                    mine = outputs[g * len(weights) + w]
                    if self.model._base is not None:
                        mine = mine + one.base(*here)
                    said[adapted(self.model, weight)] = mine
            for rank, (name, outputs) in enumerate(said.items()):
                losses = [scaled_losses(self.task, outputs, self.y[rows])]
                if isinstance(self.task, Classification):
                    losses.append(log_losses(self.task, outputs, self.y[rows]))
                for u in group.tolist():
                    means = [float(loss[domain[rows] == u].mean()) for loss in losses]
                    yield rank, name, g, str(graph.names[u]), int(far[u]), *means


class Answers:
    """What the candidates of a fitted model say of rows.

    Parameters
    ----------
    model : GRDA
    X : float32 ndarray (n, …)
        Scaled.
    domain : int64 ndarray (n,)
    ids : Index of length n
    """

    def __init__(self, model: GRDA, X: np.ndarray, domain: np.ndarray, ids: pd.Index):
        self.model, self.ids, self.domain = model, ids, domain
        self.X, self.flat = X, flat_rows(X)
        self._outputs = model.simple_.scores(self.flat, domain)
        self.encodings: np.ndarray | None = None
        if model.team_ is not None:
            team: Team = model.team_
            e, outputs = team.run(X, model.domain_embedding_[domain])
            self.encodings = e[-1]
            if model._base is not None:
                outputs = outputs + model.simple_.base(self.flat, domain)
            for weight, said in zip(model.domain_weights_, outputs, strict=True):
                self._outputs[adapted(model, weight)] = said
        self.names = list(self._outputs)

    def of(self, name: str) -> np.ndarray:
        """Probabilities, or numbers, (n, n_outputs)."""
        return self.model._task.answer(self._outputs[name])

    @property
    def served(self) -> np.ndarray:
        """What ``predict`` says."""
        return self.of(self.model.served_)
