"""Predictors of the room by name: made, trained, saved and found again.

Those with a network need torch, so that their modules are imported when a name asks for them.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from sklearn.base import clone

from makedo.core.checks import MakedoInputError
from makedo.core.estimator import Estimator

if TYPE_CHECKING:
    from makedo.data.windows import Windows

ROOM = "makedo.methods.trajectory"
PREDICTORS: dict[str, tuple[str, str, dict[str, Any]]] = {  # module, class, parameters
    "static": ("predictors", "Static", {}),
    "constant_velocity": ("predictors", "ConstantVelocity", {}),
    "kalman": ("predictors", "Kalman", {}),
    "ridge": ("predictors", "LinearRidge", {}),
    "ridge_social": ("predictors", "LinearRidge", {"social": True}),
    "lstm": ("lstm", "LSTMPredictor", {}),
    "attention": ("attention", "AttentionPredictor", {}),
    "attention_alone": ("attention", "AttentionPredictor", {"neighbors": False}),
}


class _Ours(Mapping[str, type]):
    """Classes of our predictors by name, imported when asked for: some need torch."""

    homes: ClassVar = {cls: module for module, cls, _ in PREDICTORS.values()}

    def __getitem__(self, name: str) -> Any:
        return getattr(import_module(f"{ROOM}.{self.homes[name]}"), name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.homes)

    def __len__(self) -> int:
        return len(self.homes)

    def __contains__(self, name: object) -> bool:
        return name in self.homes


OURS = _Ours()
BASELINES = {  # beside what is explained, from the simplest
    "static": "stays where it is",
    "constant_velocity": "repeats its last step",
    "ridge": "ridge regression, own past",
    "ridge_social": "ridge regression, past and neighbours",
}


def class_of(name: str) -> Any:
    """The class of a predictor of that name."""
    return OURS[PREDICTORS[name][1]]


def made(name: str, **more: Any) -> Any:
    """A fresh predictor of the room; of ``more`` what it takes and what is not None."""
    cls = class_of(name)
    known = inspect.signature(cls).parameters
    taken = {key: value for key, value in more.items() if key in known and value is not None}
    return cls(**{**PREDICTORS[name][2], **taken})


def baselines(windows: Windows) -> dict[str, Any]:
    """The simpler predictors that a report compares with, trained on the same windows."""
    return {name: trained(made(name), windows) for name in BASELINES}


def called(given: Any) -> str:
    """A predictor's name for readers."""
    if isinstance(given, str):
        return given
    return getattr(given, "__name__", type(given).__name__)


def ours(given: Any, **more: Any) -> Any:
    """A predictor of the room: made by name, a copy to be trained, or a trained one; else None."""
    if isinstance(given, str):
        return made(given, **more)
    if not isinstance(given, Estimator):
        return None
    return given if is_fitted(given) else clone(given)


def is_fitted(predictor: Any) -> bool:
    """Whether it has learnt anything."""
    return any(name.endswith("_") for name in vars(predictor))


def trained(predictor: Any, windows: Windows, **more: Any) -> Any:
    """Fit it, with those of the arguments that it takes and that are given."""
    known = inspect.signature(predictor.fit).parameters
    given = {key: value for key, value in more.items() if key in known and value is not None}
    return predictor.fit(windows, **given)


def restored_baselines(states: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of saving what :func:`baselines` gave."""
    return {name: class_of(name).from_state(state) for name, state in states.items()}


def restored(state: Mapping[str, Any]) -> Any:
    """A predictor of the room from its state; the class is looked up by its name among ours."""
    if state["class"] not in OURS:
        raise MakedoInputError(f"the predictor is a {state['class']!s:.40}, which is none of ours.")
    return OURS[state["class"]].from_state(state)
