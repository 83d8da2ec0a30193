"""One fit of Cold Brew, step by step in the order of the paper: section 3 from top to bottom.

Plain MLPs stand first, because they need nothing; then the teacher (3.2), the MLP that imitates it,
the bank of its embeddings, part 1, the virtual neighbours and part 2 of the student (3.3).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from makedo.core.checks import MakedoInputError, MakedoWarning, count
from makedo.core.devices import pick_device
from makedo.core.seeds import derive, generator, torch_seed
from makedo.core.training import Phase, Training
from makedo.data.graph import Graph
from makedo.methods.cold_brew.routing import PLAIN_PARTS
from makedo.methods.cold_brew.serving import PLAIN_MLP, beside, build_networks
from makedo.methods.cold_brew.student import (
    Bank,
    beside_the_features,
    choose_cells,
    column_scale,
    part1_phase,
)
from makedo.methods.cold_brew.teacher import StructuralGCN, embedding_bank, teacher_phase
from makedo.nn.features import Features
from makedo.nn.mlp import mlp_phase
from makedo.nn.propagation import Propagation

if TYPE_CHECKING:
    from makedo.methods.cold_brew.estimator import ColdBrew


class Brewing:
    """What the steps of one fit share.

    Parameters
    ----------
    model : ColdBrew
        With its parameters, and with what ``fit`` has read: X_, y_, scaler_, train_, graph_.
    training : Training
    graph : Graph
        Without the edges of ``hidden``.
    connected : int64 ndarray, positions of nodes that have edges in ``graph``
    hidden, kept : int64 ndarrays, positions of validation nodes, see :func:`hide_half`

    Attributes
    ----------
    nets : dict of str to Module
        Those that were trained; one that was stopped before it began stays out.
    bank : Bank or None
        None unless the student was trained.
    """

    def __init__(
        self,
        model: ColdBrew,
        training: Training,
        graph: Graph,
        connected: np.ndarray,
        hidden: np.ndarray,
        kept: np.ndarray,
    ):
        self.model, self.training, self.graph = model, training, graph
        self.device = pick_device(model.device)
        self.x = Features.of(model.scaler_.transform(model.X_), self.device)
        with torch_seed(derive(model.random_state, "initial weights")):
            nets = build_networks(model)
        self.untrained = {name: net.to(self.device) for name, net in nets.items()}
        self.target, y = model._task.target, model._task.scaled(model.y_)
        self.y, self.train, self.rows, self.hidden, self.kept = (
            torch.from_numpy(a).to(self.device) for a in (y, model.train_, connected, hidden, kept)
        )
        self.student_settings: dict[str, Any] = {
            "learning_rate": model.student_learning_rate,
            "weight_decay": model.weight_decay,
            "max_epochs": model.student_max_epochs,
            "patience": model.student_patience,
            "batch_size": model.batch_size,
        }
        self.nets: dict[str, nn.Module] = {}
        self.bank: Bank | None = None

    def run(self) -> None:
        """All steps; a step that was stopped before it began ends the fit."""
        self.plain_mlps()
        outputs = self.teacher()
        if outputs is None:
            return
        # What the teacher hands over, of nodes with edges
        soft = {"soft": self.target.soft(outputs[-1]), "soft_rows": self.rows}
        if "distilled mlp" in self.untrained:
            phase = self.mlp("distilled mlp", distill=1.0, **soft, **self.student_settings)
            self.done(phase)
        if "part 1" in self.untrained:
            self.student(outputs, soft)

    def done(self, phase: Phase) -> bool:
        """Run a phase; whether its network is trained now."""
        if self.training.run(phase):
            self.nets[phase.name] = self.untrained[phase.name]
        return phase.name in self.nets

    def mlp(self, name: str, **settings: Any) -> Phase:
        """The phase of an MLP on labels, stopped by validation nodes without edges."""
        net: Any = self.untrained[name]
        known = (self.x, self.y, self.train, self.hidden)
        return mlp_phase(name, net, *known, target=self.target, **settings)

    def plain_mlps(self) -> None:
        """MLPs that see labelled rows only, so that an epoch is a step or a few."""
        more = PLAIN_MLP | {"max_epochs": self.model.max_epochs}
        for name in PLAIN_PARTS:
            if name in self.untrained:
                self.done(self.mlp(name, **self.student_settings | more))

    def teacher(self) -> list[Tensor] | None:
        """The graph network; its outputs of all layers, each (n_nodes, d_{l+1})."""
        model, net = self.model, self.untrained["teacher"]
        assert isinstance(net, StructuralGCN)
        propagation = Propagation(self.graph.normalized()).to(self.device)
        phase = teacher_phase(
            net,
            self.x,
            propagation,
            self.y,
            self.train,
            self.kept,
            penalty=model.structural_penalty,
            learning_rate=model.learning_rate,
            weight_decay=model.weight_decay,
            max_epochs=model.max_epochs,
            patience=model.patience,
            target=self.target,
        )
        if not self.done(phase):
            return None
        with torch.no_grad():
            return net(self.x, propagation)

    def student(self, outputs: list[Tensor], soft: dict[str, Tensor]) -> None:
        """Bank, part 1, virtual neighbours and part 2."""
        model, cells_rng = self.model, generator(self.model.random_state, "cells")
        embedding = embedding_bank(outputs, model.bank)
        mean, scale = column_scale(embedding[self.rows])
        bank = Bank(self.rows, (embedding[self.rows] - mean) / scale, model.similarity)
        bank = bank.for_look_up(model.look_up, cells_rng)
        if model.n_neighbors > len(self.rows):
            warnings.warn(
                f"{type(model).__name__}: n_neighbors={model.n_neighbors} but the bank has "
                f"{count(len(self.rows), 'node')}; all of them are used.",
                MakedoWarning,
                stacklevel=4,
            )
        if not self.part1(bank, mean, scale):
            return
        part1, K = self.nets["part 1"], model.n_neighbors
        choose_cells(part1, self.x, bank, self.hidden, K, cells_rng)

        # Virtual neighbours, once: nothing in them is learnt
        taught = self.rows if model.distill else self.rows[:0]
        seen = torch.cat([self.train, self.hidden, taught]).unique()
        extra = beside_the_features(part1, self.x, bank, K, model.temperature, seen)
        extra = extra[:, beside(model.student_inputs, extra.shape[1] // 2)]

        settings: dict[str, Any] = {"distill": model.distill, **soft, **self.student_settings}
        if self.done(self.mlp("part 2", extra=extra, **settings)):
            self.bank = bank

    def part1(self, bank: Bank, mean: Tensor, scale: Tensor) -> bool:
        """Part 1, judged by what the teacher says of nodes whose edges part 1 was not shown."""
        net, teacher = self.untrained["part 1"], self.nets["teacher"]
        with torch.no_grad():
            shown = Propagation(self.model.graph_.normalized()).to(self.device)
            whole = embedding_bank(teacher(self.x, shown), self.model.bank)
        taught = torch.arange(len(bank.rows), device=self.device)  # rows of the bank
        if self.model.part1_nodes == "labelled":
            taught = torch.isin(bank.rows, self.train).nonzero().squeeze(1)
            if not len(taught):
                raise MakedoInputError(
                    f"{type(self.model).__name__}: no training node has an edge, so "
                    'part1_nodes="labelled" leaves part 1 nothing to learn from. Use "connected".'
                )
        phase = part1_phase(
            net,
            self.x,
            bank.rows[taught],
            bank.values[taught],
            self.hidden,
            (whole[self.hidden] - mean) / scale,
            **self.student_settings | {"patience": self.model.part1_patience},
        )
        return self.done(phase)
