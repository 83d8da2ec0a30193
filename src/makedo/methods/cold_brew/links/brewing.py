"""One fit of Cold Brew for links, step by step: encoders of features, teacher, bank, student."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from makedo.core.checks import MakedoWarning, count
from makedo.core.devices import pick_device
from makedo.core.seeds import derive, generator, torch_seed
from makedo.core.training import Phase, Training
from makedo.methods.cold_brew.links.loss import (
    cut_off_folds,
    link_encoder_phase,
    link_part2_phase,
    link_teacher_phase,
    linked_nodes,
)
from makedo.methods.cold_brew.links.serving import (
    ENCODERS,
    LinkServer,
    alone,
    build_link_networks,
)
from makedo.methods.cold_brew.links.student import BankFiller, fold_look_up
from makedo.methods.cold_brew.links.validation import ColdLinks
from makedo.methods.cold_brew.student import Bank, part1_phase
from makedo.nn.features import Features
from makedo.nn.propagation import Propagation

if TYPE_CHECKING:
    from makedo.methods.cold_brew.links.predictor import ColdBrewLinkPredictor


class LinkBrewing:
    """What the steps of one fit share.

    Parameters
    ----------
    model : ColdBrewLinkPredictor
        With its parameters, and with what ``fit`` has read: X_, graph_, scaler_.
    training : Training
    links : ColdLinks
        The graph without the edges of validation nodes, and those edges.

    Attributes
    ----------
    nets : dict of str to Module
        Those that were trained; one that was stopped before it began stays out.
    bank : Bank or None
        None unless the student was trained.
    moments : tensors or None
        Of the teacher's embeddings, which ``part2="correction"`` adds to.
    """

    def __init__(self, model: ColdBrewLinkPredictor, training: Training, links: ColdLinks):
        self.model, self.training, self.links = model, training, links
        self.device = pick_device(model.device)
        self.x = Features.of(model._scaled, self.device)
        with torch_seed(derive(model.random_state, "initial weights")):
            nets: dict[str, Any] = build_link_networks(model)
        self.untrained = {name: net.to(self.device) for name, net in nets.items()}
        self.common: dict[str, Any] = {"n_negatives": model.n_negatives, "device": self.device}
        self.student_settings: dict[str, Any] = {
            "learning_rate": model.student_learning_rate,
            "weight_decay": model.weight_decay,
            "max_epochs": model.student_max_epochs,
            "patience": model.student_patience,
            "batch_size": model.batch_size,
        }
        self.nets: dict[str, Any] = {}
        self.bank: Bank | None = None
        self.moments: Any = None

    def run(self) -> None:
        """All steps; a step that was stopped before it began ends the fit."""
        self.encoders()
        if "teacher" not in self.untrained:
            return
        told = Propagation(self.links.graph.normalized()).to(self.device)
        if self.teacher(told) and "part 1" in self.untrained:
            self.student(told)

    def done(self, phase: Phase) -> bool:
        """Run a phase; whether its network is trained now."""
        if self.training.run(phase):
            self.nets[phase.name] = self.untrained[phase.name]
        return phase.name in self.nets

    def encoders(self) -> None:
        """Dual encoders of features alone."""
        model, links, x = self.model, self.links, self.x
        for name in ENCODERS:
            if name in self.untrained:
                net = self.untrained[name]
                check = links.check(lambda n=net: (n(links.asking(x)), n(links.known(x))))
                linear = name == "linear"
                rate = model.learning_rate if linear else model.student_learning_rate
                settings: dict[str, Any] = self.student_settings | self.common
                settings["learning_rate"] = rate
                self.done(link_encoder_phase(name, net, x, links.graph, check, **settings))

    def teacher(self, told: Propagation) -> bool:
        """The graph network, judged by what it says of nodes that stand alone."""
        model, links, x, net = self.model, self.links, self.x, self.untrained["teacher"]
        known = torch.from_numpy(links.candidates).to(self.device)
        check = links.check(lambda: (alone(net, links.asking(x)), net(x, told)[-1][known]))
        phase = link_teacher_phase(
            net,
            x,
            links.graph,
            check,
            penalty=model.structural_penalty,
            learning_rate=model.learning_rate,
            weight_decay=model.weight_decay,
            max_epochs=model.max_epochs,
            patience=model.patience,
            **self.common,
        )
        return self.done(phase)

    def student(self, told: Propagation) -> None:
        """Bank, part 1, virtual neighbours and part 2."""
        model, links, teacher = self.model, self.links, self.untrained["teacher"]
        with torch.no_grad():
            outputs = teacher(self.x, told)  # per layer (n_nodes, d_{l+1})
            shown = teacher(self.x, Propagation(model.graph_.normalized()).to(self.device))

        # Bank
        filler = BankFiller(outputs, linked_nodes(links.graph), model.bank, model.similarity)
        bank = filler.fill(outputs, linked_nodes(links.graph))
        if model.n_neighbors > len(bank.rows):
            warnings.warn(
                f"{type(model).__name__}: n_neighbors={model.n_neighbors} but the bank has "
                f"{count(len(bank.rows), 'node')}; all of them are used.",
                MakedoWarning,
                stacklevel=4,
            )
        if model.part2 == "correction":
            self.moments = filler.moments(model.embedding_width)

        # Part 1, judged by what the teacher says of nodes whose edges part 1 was not shown
        judged = filler.fill(shown, links.hidden)
        given = bank.rows, bank.values, judged.rows, judged.values
        part1 = self.untrained["part 1"]
        if not self.done(part1_phase(part1, self.x, *given, **self.student_settings)):
            return

        # Virtual neighbours, once: nothing in them is learnt
        rng = generator(model.random_state, "folds of nodes")
        cut_off = cut_off_folds(teacher, self.x, links.graph, rng, self.device)
        if not cut_off:  # a graph of so few edges that none can be asked for
            return
        look_up = model.n_neighbors, model.temperature
        server = LinkServer(self.untrained, bank, *look_up, self.moments, self.device)
        asking = torch.from_numpy(links.rows).to(self.device)
        extra = fold_look_up(server, self.x, filler, cut_off, asking)  # (n_nodes, 2 · width)
        if self.part2(server, extra, outputs[-1], cut_off):
            self.bank = bank

    def part2(self, server: LinkServer, extra: Tensor, z: Tensor, cut_off: Any) -> bool:
        """Part 2, on nodes that are cut off from the known ones, whose embeddings are ``z``."""
        links, x = self.links, self.x
        asking = torch.from_numpy(links.rows).to(self.device)
        known = z[torch.from_numpy(links.candidates).to(self.device)]
        check = links.check(lambda: (server.student(links.asking(x), extra[asking]), known))
        settings: dict[str, Any] = self.student_settings | self.common
        settings["learning_rate"] = self.model.part2_learning_rate

        def embed(nodes: Tensor) -> Tensor:
            return server.student(x.rows(nodes), extra[nodes])

        return self.done(
            link_part2_phase(embed, self.untrained["part 2"], cut_off, check, **settings)
        )
