"""Cold Brew: predictions for nodes that nothing links to (Zheng et al., ICLR 2022)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from makedo.methods.cold_brew.classifier import ColdBrewClassifier as ColdBrewClassifier
    from makedo.methods.cold_brew.fcr import FCR as FCR
    from makedo.methods.cold_brew.fcr import (
        feature_contribution_ratio as feature_contribution_ratio,
    )
    from makedo.methods.cold_brew.links import ColdBrewLinkPredictor as ColdBrewLinkPredictor
    from makedo.methods.cold_brew.regressor import ColdBrewRegressor as ColdBrewRegressor

HOMES = {
    "ColdBrewClassifier": "classifier",
    "ColdBrewRegressor": "regressor",
    "ColdBrewLinkPredictor": "links",
    "FCR": "fcr",
    "feature_contribution_ratio": "fcr",
}
__all__ = [
    "FCR",
    "ColdBrewClassifier",
    "ColdBrewLinkPredictor",
    "ColdBrewRegressor",
    "feature_contribution_ratio",
]


def __getattr__(name: str) -> Any:
    if name not in HOMES:  # these modules import torch: the help of the verbs need not
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
