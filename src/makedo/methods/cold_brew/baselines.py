"""What Cold Brew is compared with: the candidates of every table, and their configurations.

No network is hurried more than another: GLNN, GraphMLP and the students wait 100 epochs for a
better validation accuracy, as the MLPs in Cold Brew's pool do; MLP, GCN, GCN + SE and GraphSAGE see
every epoch.  The state that is best on validation nodes is kept in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

from makedo.baselines.gcn import GCNClassifier
from makedo.baselines.label_propagation import LabelPropagation
from makedo.baselines.mlp import MLPClassifier
from makedo.baselines.sage import SAGEClassifier
from makedo.baselines.sgc import SGCClassifier
from makedo.core.candidates import Candidate
from makedo.core.checks import MakedoInputError, first
from makedo.methods.cold_brew.classifier import ColdBrewClassifier
from makedo.methods.cold_brew.feature_neighbors import FeatureKNNClassifier
from makedo.methods.cold_brew.glnn import sharing_teachers
from makedo.methods.cold_brew.graph_mlp import GraphMLPClassifier
from makedo.methods.cold_brew.teacher_classifier import TeacherClassifier

STUDENT = "Cold Brew, student only"  # the paper's student, whatever validation says

Grid = Sequence[Mapping[str, Any]]


def candidates(*names: str) -> list[Candidate]:
    """Candidates by name, in the order of the names, at most 8 configurations each.

    Without names, all of them from the simplest to the most elaborate.  "Cold Brew" is the method
    as it is shipped, which pools its student with MLPs.
    """
    known = _candidates()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise MakedoInputError(
            f"{first(unknown)} is not among the candidates {first(list(known), 99)}."
        )
    return [Candidate(name, *known[name]) for name in names or known]


def _candidates() -> dict[str, tuple[Callable[..., Any], Grid]]:
    """How each candidate is made, and its configurations."""
    few_labels: dict[str, Any] = {"norm": False, "activation": "relu", "input_dropout": 0.5}
    many_labels: dict[str, Any] = {"norm": True, "activation": "gelu", "input_dropout": 0.0}
    mlp = [
        shape | {"dropout": dropout, "weight_decay": decay}
        for dropout, decay, shape in product((0.5, 0.2), (5e-4, 5e-5), (few_labels, many_labels))
    ]
    graph_network = _grid(dropout=(0.5, 0.2), hidden=(64, 256), weight_decay=(5e-4, 5e-5))
    glnn = [
        shape | {"distill": distill, "dropout": dropout}
        for shape, dropout, distill in product((many_labels, few_labels), (0.5, 0.2), (1.0, 0.9))
    ]
    brew = [
        {"structural_penalty": penalty, "n_neighbors": k, "temperature": t, "distill": distill}
        for penalty, (k, t), distill in product((1e-2, 1e-1), ((16, 0.1), (64, 0.05)), (0.0, 0.9))
    ]
    return {
        "MLP": (MLPClassifier, mlp),
        "label propagation": (
            LabelPropagation,
            _grid(adjacency=("normalized", "plain"), alpha=(0.9, 0.5, 0.1, 0.01)),
        ),
        "feature neighbours": (
            FeatureKNNClassifier,
            _grid(weights=("distance", "uniform"), n_neighbors=(5, 10, 20, 50)),
        ),
        "SGC": (SGCClassifier, _grid(n_hops=(2, 1), C=(10.0, 1.0, 100.0, 1000.0))),
        "GCN": (GCNClassifier, graph_network),
        "GCN + SE": (
            TeacherClassifier,
            _grid(structural_penalty=(1e-2, 1e-1), dropout=(0.5, 0.2), hidden=(64, 256)),
        ),
        "GraphSAGE": (SAGEClassifier, graph_network),
        "GraphMLP": (
            GraphMLPClassifier,
            _grid(alpha=(10.0, 1.0), temperature=(2.0, 0.5), weight_decay=(5e-4, 5e-3)),
        ),
        "GLNN": (sharing_teachers(), glnn),
        STUDENT: (_student, brew),
        "Cold Brew": (ColdBrewClassifier, brew),
    }


def _grid(**choices: Sequence[Any]) -> list[dict[str, Any]]:
    """Every combination; the last parameter changes first."""
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


def _student(**parameters: Any) -> ColdBrewClassifier:
    return ColdBrewClassifier(cold_part="student", **parameters)
