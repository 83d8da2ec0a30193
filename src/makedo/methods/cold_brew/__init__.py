"""Cold Brew: predictions for nodes that nothing links to (Zheng et al., ICLR 2022)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from makedo.methods.cold_brew.estimator import ColdBrewClassifier as ColdBrewClassifier

__all__ = ["ColdBrewClassifier"]


def __getattr__(name: str) -> Any:
    if name not in __all__:  # the estimator imports torch: the help of its verbs need not
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.estimator"), name)
