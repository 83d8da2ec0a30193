"""DIVA: the value of every training example, exactly (Dukler et al., ICLR 2022)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from makedo.methods.diva.augmentations import AugmentationSelector as AugmentationSelector
    from makedo.methods.diva.estimator import DatasetDerivative as DatasetDerivative
    from makedo.methods.diva.issues import LabelIssueFinder as LabelIssueFinder
    from makedo.methods.diva.linearise import linear_features as linear_features
    from makedo.methods.diva.linearise import network_outputs as network_outputs
    from makedo.methods.diva.reweighter import DivaReweighter as DivaReweighter
    from makedo.methods.diva.selector import DivaSelector as DivaSelector

HOMES = {
    "AugmentationSelector": "augmentations",
    "DatasetDerivative": "estimator",
    "DivaReweighter": "reweighter",
    "DivaSelector": "selector",
    "LabelIssueFinder": "issues",
    "linear_features": "linearise",
    "network_outputs": "linearise",
}
__all__ = [
    "AugmentationSelector",
    "DatasetDerivative",
    "DivaReweighter",
    "DivaSelector",
    "LabelIssueFinder",
    "linear_features",
    "network_outputs",
]


def __getattr__(name: str) -> Any:
    if name not in HOMES:  # these modules import scikit-learn: the help of the verbs need not
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
