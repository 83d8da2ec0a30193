"""Which cue does a trajectory predictor really use? (Makansi et al., ICLR 2022)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from makedo.data.tracks import Tracks as Tracks
    from makedo.data.windows import Cues as Cues
    from makedo.data.windows import Windows as Windows
    from makedo.data.windows import cut as cut
    from makedo.methods.trajectory.attention import AttentionPredictor as AttentionPredictor
    from makedo.methods.trajectory.attribution import Attribution as Attribution
    from makedo.methods.trajectory.estimator import TrajectoryAttributor as TrajectoryAttributor
    from makedo.methods.trajectory.game import shapley_of as shapley_of
    from makedo.methods.trajectory.lstm import LSTMPredictor as LSTMPredictor
    from makedo.methods.trajectory.predictors import ConstantVelocity as ConstantVelocity
    from makedo.methods.trajectory.predictors import Kalman as Kalman
    from makedo.methods.trajectory.predictors import LinearRidge as LinearRidge
    from makedo.methods.trajectory.predictors import Static as Static

ROOM = "makedo.methods.trajectory"
HOMES = {
    "AttentionPredictor": f"{ROOM}.attention",
    "Attribution": f"{ROOM}.attribution",
    "ConstantVelocity": f"{ROOM}.predictors",
    "Cues": "makedo.data.windows",
    "Kalman": f"{ROOM}.predictors",
    "LSTMPredictor": f"{ROOM}.lstm",
    "LinearRidge": f"{ROOM}.predictors",
    "Static": f"{ROOM}.predictors",
    "Tracks": "makedo.data.tracks",
    "TrajectoryAttributor": f"{ROOM}.estimator",
    "Windows": "makedo.data.windows",
    "cut": "makedo.data.windows",
    "shapley_of": f"{ROOM}.game",
}
__all__ = [
    "AttentionPredictor",
    "Attribution",
    "ConstantVelocity",
    "Cues",
    "Kalman",
    "LSTMPredictor",
    "LinearRidge",
    "Static",
    "Tracks",
    "TrajectoryAttributor",
    "Windows",
    "cut",
    "shapley_of",
]


def __getattr__(name: str) -> Any:
    if name not in HOMES:  # these modules import scikit-learn: the help of the verbs need not
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)
