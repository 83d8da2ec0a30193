"""The two data sets, split as the specification says, and what is scored on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.seeds import generator
from makedo.data import catalog
from makedo.data.interaction_splits import Split, temporal_split, user_split
from makedo.data.interactions import InteractionLog, Requests
from makedo.data.times import seconds
from makedo.methods.rim.factorised import ALS, BPR, LogisticMF
from makedo.methods.rim.intensities import (
    EMA,
    ConstantIntensity,
    Hawkes,
    HawkesPoisson,
    Intensity,
    UserPopularity,
)
from makedo.methods.rim.marks import EASE, ItemKNN, ItemPopularity, Marks, PersonalRepeat
from makedo.methods.rim.scores import ScoreOperator

NO_LAMBDA = "no λ"
DAY = 86_400.0


@dataclass(frozen=True)
class Protocol:
    """A split, and how it is judged.

    Parameters
    ----------
    split : Split
    exclude_seen : bool
        Whether what a user had before is neither listed nor wanted.
    k, c : tuple of int
        Lengths of lists of items and of users.
    marks, intensities : dict of str to callable () -> model
    """

    split: Split
    exclude_seen: bool
    k: tuple[int, ...]
    c: tuple[int, ...]
    marks: dict[str, Callable[[], Marks]]
    intensities: dict[str, Callable[[], Intensity]]

    @property
    def targets(self) -> Any:
        """What comes true, bool (n_requests, n_candidates)."""
        test = self.split.test
        return test.targets(self.split.horizon, exclude_seen=self.exclude_seen)

    def scores(self, mark: str) -> ScoreOperator:
        """p(y|x) of the test requests and the candidates."""
        return self.scores_of(self.marks[mark]().fit(self.split.train, self.split.horizon))

    def scores_of(self, fitted: Marks) -> ScoreOperator:
        """The same of marks that are fitted."""
        test = self.split.test
        found = fitted.scores(test).take(items=test.candidates)
        return found.without(test.seen()) if self.exclude_seen else found

    def rate(self, intensity: str) -> np.ndarray:
        """λ(x) of the test requests; learnt from windows that end before the test, or histories."""
        split, model = self.split, self.intensities[intensity]()
        if model.needs_counts:
            before = split.valid[0]
            model.fit(before, before.counts(split.valid_horizon), split.valid_horizon)
        else:
            model.fit(split.train, None, split.horizon)
        return model.predict(split.test)


MARKS: dict[str, Callable[[], Marks]] = {
    "ItemPop": ItemPopularity,
    "ALS": ALS,
    "LogisticMF": LogisticMF,
    "BPR": BPR,
    "ItemKNN": ItemKNN,
    "EASE": EASE,
    "PersonalRepeat": PersonalRepeat,
}


def intensities(n_scales: int, shortest: float) -> dict[str, Callable[[], Intensity]]:
    """λ by name, from none to the paper's best; time scales up to ten horizons."""
    scales = {"n_scales": n_scales, "shortest": shortest, "longest": 10.0}
    return {
        NO_LAMBDA: ConstantIntensity,
        "UserPop": UserPopularity,
        "EMA": EMA,
        "Hawkes": lambda: Hawkes(**scales),
        "HP": lambda: HawkesPoisson(**scales),
    }


@lru_cache(maxsize=2)
def movielens(min_item_len: int) -> Protocol:
    """MovieLens 100K: the second half of each user's ratings, learnt from half of the users.

    The first half is what people answer when they sign up.  Ratings of one second are shuffled, as
    most share theirs with another.
    """
    events = catalog.load("ml-100k").events
    events = events.sample(frac=1, random_state=0).sort_values("timestamp", kind="stable")
    place = events.groupby("user_id")["timestamp"].rank(method="first", pct=True)
    log = InteractionLog.read(events[place >= 0.5])
    half = pd.DataFrame(index=log.users).sample(frac=0.5, random_state=888).index
    split = user_split(log, train_users=half, min_item_len=min_item_len)
    marks = {name: made for name, made in MARKS.items() if name != "PersonalRepeat"}
    k, c = ((16, 32, 8), (5, 10, 20)) if min_item_len else ((17, 34, 9), (5, 10, 20))
    return Protocol(split, True, tuple(sorted(k)), c, marks, intensities(50, 1e-6))


@lru_cache(maxsize=1)
def complete_journey() -> Protocol:
    """Complete Journey (dunnhumby): types of product that households buy in the next four weeks."""
    data = catalog.load("completejourney")
    assert data.items is not None
    kind = data.items["TYPE"].reindex(data.events["item_id"])
    named = (kind.notna() & (kind != "GASOLINE-REG UNLEADED")).to_numpy()
    events = data.events.assign(item_id=kind.to_numpy())[named]
    events = events.drop_duplicates(["user_id", "item_id", "timestamp"])
    cut = float(seconds("2017-11-30"))
    before = events[events["timestamp"] < cut]
    buyers = before.drop_duplicates(["user_id", "item_id"])["item_id"].value_counts()
    known = events["item_id"].isin(buyers.index[buyers >= 20])
    split = temporal_split(InteractionLog.read(events[known]), cut, 28 * DAY)
    return Protocol(split, False, (5, 15, 30), (12, 25, 50), MARKS, intensities(25, 1e-3))


def within_training(data: str) -> Protocol:
    """The same question asked of what may be learnt from alone: to choose settings by.

    Split by time, the test is the window before the real one.  Split by users, it is a third of
    those who are learnt from, from their own time on.
    """
    protocol = PROTOCOLS[data]()
    split = protocol.split
    whole = np.flatnonzero(np.isinf(split.train.time))
    if len(whole):
        held = generator(0, "within training").permutation(whole)[: len(whole) // 3]
        test = split.valid[0].take(np.isin(split.valid[0].user, held))
    else:
        test = split.valid[0]
    time = split.train.time.copy()
    time[test.user] = test.time
    time = np.minimum(time, test.time.min()) if not len(whole) else time
    train = Requests(split.log, split.train.user, time)
    inside = Split(split.log, train, test, [], split.valid_horizon, split.valid_horizon)
    return replace(protocol, split=inside)


PROTOCOLS: dict[str, Callable[[], Protocol]] = {
    "ml-100k": lambda: movielens(0),
    "completejourney": complete_journey,
}
