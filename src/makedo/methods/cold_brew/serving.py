"""What each trained part says of rows: the networks of a model, their shapes, and how they answer in blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from makedo.data.features import Matrix
from makedo.methods.cold_brew.student import Bank, nearest_in_bank, virtual_embedding
from makedo.methods.cold_brew.teacher import StructuralGCN
from makedo.nn.features import Features
from makedo.nn.mlp import FeatureMLP
from makedo.nn.propagation import Propagation

if TYPE_CHECKING:
    from makedo.data.graph import Graph
    from makedo.methods.cold_brew.estimator import ColdBrewClassifier

ROWS = 8192  # rows scored at once
MLP_WIDTH = 128


def build_networks(
    model: ColdBrewClassifier, n_nodes: int, n_features: int, n_classes: int
) -> dict[str, nn.Module]:
    """Untrained networks of every part that ``model`` trains; the caller seeds torch.

    The plain MLP has one narrow layer without normalisation and dropout on its input: with few labels that is the
    stronger one, so it is the fairer candidate.
    """
    width = n_classes if model.bank == "output" else model.hidden * (model.n_layers - 1) + n_classes
    wanted = (
        ("mlp", "distilled mlp", "cold brew") if model.cold_part == "auto" else (model.cold_part,)
    )
    student: dict[str, Any] = {"hidden": model.student_hidden, "dropout": model.student_dropout}
    nets: dict[str, nn.Module] = {}
    if "mlp" in wanted:
        nets["mlp"] = FeatureMLP(
            n_features,
            0,
            MLP_WIDTH,
            n_classes,
            dropout=0.5,
            input_dropout=0.5,
            norm=False,
            activation="relu",
        )
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
    if "cold brew" in wanted:
        nets["part 1"] = FeatureMLP(n_features, 0, n_outputs=width, **student)
        nets["part 2"] = FeatureMLP(n_features, 2 * width, n_outputs=n_classes, **student)
    return nets


def virtual_neighborhood(
    part1: nn.Module,
    x: Features,
    bank: Bank,
    n_neighbors: int,
    temperature: float,
    own: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Virtual neighbours of rows, and what part 2 sees beside the features.

    Returns
    -------
    index, weight : tensors (n_rows, K), positions in the bank and softmax weights
    extra : tensor (n_rows, 2 · width), [ẽ, ê]
    """
    e_hat = part1(x)
    index, weight = nearest_in_bank(e_hat, bank, n_neighbors, temperature, own)
    return index, weight, torch.cat([virtual_embedding(bank, index, weight), e_hat], dim=1)


class Server:
    """Answers of the trained parts for encoded, scaled rows.

    Parameters
    ----------
    nets : mapping of str to Module
        In eval mode, on one device.
    bank : Bank or None
    n_neighbors, temperature
        Of the look-up.
    """

    def __init__(
        self, nets: Mapping[str, nn.Module], bank: Bank | None, n_neighbors: int, temperature: float
    ):
        self.nets, self.bank, self.n_neighbors, self.temperature = (
            nets,
            bank,
            n_neighbors,
            temperature,
        )

    @property
    def device(self) -> torch.device:
        return next(next(iter(self.nets.values())).parameters()).device

    def blocks(self, X: Matrix) -> list[Features]:
        """The rows in blocks that fit into memory."""
        return [
            Features.of(X[start : start + ROWS], self.device)
            for start in range(0, X.shape[0], ROWS)
        ]

    @torch.inference_mode()
    def virtual(self, X: Matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Index, weight and extra of :func:`virtual_neighborhood` for the rows of X, as arrays."""
        assert self.bank is not None
        parts = [
            virtual_neighborhood(
                self.nets["part 1"], x, self.bank, self.n_neighbors, self.temperature
            )
            for x in self.blocks(X)
        ]
        index, weight, extra = (
            torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)
        )
        return index, weight, extra

    @torch.inference_mode()
    def cold(self, X: Matrix, part: str, n_classes: int) -> np.ndarray:
        """Class probabilities (n_rows, n_classes) of a part that needs no edges."""
        answers = [np.empty((0, n_classes), dtype=np.float32)]
        for x in self.blocks(X):
            if part == "teacher":  # nothing else was trained: the teacher on nodes that are alone
                logits = self.nets["teacher"](x, _alone, 0)[-1]
            elif part == "cold brew":
                assert self.bank is not None
                extra = virtual_neighborhood(
                    self.nets["part 1"], x, self.bank, self.n_neighbors, self.temperature
                )[2]
                logits = self.nets["part 2"](x, extra)
            else:
                logits = self.nets[part](x)
            answers.append(logits.softmax(1).cpu().numpy())
        return np.concatenate(answers)

    @torch.inference_mode()
    def warm(self, X: Matrix, graph: Graph) -> np.ndarray:
        """The teacher's probabilities for all nodes of ``graph``, of which the first are those of the training graph."""
        x, propagation = (
            Features.of(X, self.device),
            Propagation(graph.normalized()).to(self.device),
        )
        return self.nets["teacher"](x, propagation)[-1].softmax(1).cpu().numpy()


def _alone(z: Tensor) -> Tensor:
    """Ã of nodes without edges."""
    return z
