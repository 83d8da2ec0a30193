"""GRDA: predictions in domains without labels, along a graph of domains (Xu et al., ICLR 2022)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from makedo.data.domains import DomainGraph as DomainGraph
    from makedo.methods.grda.classifier import GRDAClassifier as GRDAClassifier
    from makedo.methods.grda.regressor import GRDARegressor as GRDARegressor

HOMES = {
    "GRDAClassifier": "makedo.methods.grda.classifier",
    "GRDARegressor": "makedo.methods.grda.regressor",
    "DomainGraph": "makedo.data.domains",
}
__all__ = ["DomainGraph", "GRDAClassifier", "GRDARegressor"]


def __getattr__(name: str) -> Any:
    if name not in HOMES:  # these modules import torch: the help of the verbs need not
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)
