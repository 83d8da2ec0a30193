"""RIM: items for a user, users for an item, from when and what (Ma et al., ICLR 2022)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from makedo.data.interaction_splits import Split as Split
    from makedo.data.interaction_splits import temporal_split as temporal_split
    from makedo.data.interaction_splits import user_split as user_split
    from makedo.data.interactions import InteractionLog as InteractionLog
    from makedo.data.interactions import Requests as Requests
    from makedo.methods.rim.estimator import RIM as RIM
    from makedo.methods.rim.factorised import ALS as ALS
    from makedo.methods.rim.factorised import BPR as BPR
    from makedo.methods.rim.factorised import LogisticMF as LogisticMF
    from makedo.methods.rim.given import GivenScores as GivenScores
    from makedo.methods.rim.intensities import EMA as EMA
    from makedo.methods.rim.intensities import ConstantIntensity as ConstantIntensity
    from makedo.methods.rim.intensities import Hawkes as Hawkes
    from makedo.methods.rim.intensities import HawkesPoisson as HawkesPoisson
    from makedo.methods.rim.intensities import UserPopularity as UserPopularity
    from makedo.methods.rim.marks import EASE as EASE
    from makedo.methods.rim.marks import ItemKNN as ItemKNN
    from makedo.methods.rim.marks import ItemPopularity as ItemPopularity
    from makedo.methods.rim.marks import PersonalRepeat as PersonalRepeat
    from makedo.methods.rim.matcher import BudgetMatcher as BudgetMatcher
    from makedo.methods.rim.ranking import evaluate_item_rec as evaluate_item_rec
    from makedo.methods.rim.ranking import evaluate_user_rec as evaluate_user_rec
    from makedo.methods.rim.repeats import EASERepeat as EASERepeat
    from makedo.methods.rim.scores import ScoreOperator as ScoreOperator
    from makedo.methods.rim.sequences import RNN as RNN
    from makedo.methods.rim.sequences import Transformer as Transformer

ROOM = "makedo.methods.rim"
HOMES = {
    "ALS": f"{ROOM}.factorised",
    "BPR": f"{ROOM}.factorised",
    "BudgetMatcher": f"{ROOM}.matcher",
    "ConstantIntensity": f"{ROOM}.intensities",
    "EASE": f"{ROOM}.marks",
    "EASERepeat": f"{ROOM}.repeats",
    "EMA": f"{ROOM}.intensities",
    "GivenScores": f"{ROOM}.given",
    "Hawkes": f"{ROOM}.intensities",
    "HawkesPoisson": f"{ROOM}.intensities",
    "InteractionLog": "makedo.data.interactions",
    "ItemKNN": f"{ROOM}.marks",
    "ItemPopularity": f"{ROOM}.marks",
    "LogisticMF": f"{ROOM}.factorised",
    "PersonalRepeat": f"{ROOM}.marks",
    "RIM": f"{ROOM}.estimator",
    "RNN": f"{ROOM}.sequences",
    "Requests": "makedo.data.interactions",
    "ScoreOperator": f"{ROOM}.scores",
    "Split": "makedo.data.interaction_splits",
    "Transformer": f"{ROOM}.sequences",
    "UserPopularity": f"{ROOM}.intensities",
    "evaluate_item_rec": f"{ROOM}.ranking",
    "evaluate_user_rec": f"{ROOM}.ranking",
    "temporal_split": "makedo.data.interaction_splits",
    "user_split": "makedo.data.interaction_splits",
}
__all__ = [
    "ALS",
    "BPR",
    "EASE",
    "EASERepeat",
    "EMA",
    "RIM",
    "RNN",
    "BudgetMatcher",
    "ConstantIntensity",
    "GivenScores",
    "Hawkes",
    "HawkesPoisson",
    "InteractionLog",
    "ItemKNN",
    "ItemPopularity",
    "LogisticMF",
    "PersonalRepeat",
    "Requests",
    "ScoreOperator",
    "Split",
    "Transformer",
    "UserPopularity",
    "evaluate_item_rec",
    "evaluate_user_rec",
    "temporal_split",
    "user_split",
]


def __getattr__(name: str) -> Any:
    if name not in HOMES:  # these modules import scikit-learn: the help of the verbs need not
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)
