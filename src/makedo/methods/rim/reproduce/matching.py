"""Campaign plans on MovieLens 100K and Complete Journey: what is delivered, and at what loss.

Each user gets k items (1 % of them); each item is promised ceil(c m) users, c being 1 % of the
users and m = 0, 0.3, 0.7 or 1.  Plans are made on the test window itself (prices of the same
scores), and online: prices come from the window before, the users of the test window come one by
one (in the order of their times, equal ones at random) and decisions are final.  Prices stay
frozen, or adapt.

Delivered share is Σ min(delivered, promised) / Σ promised.  Precision is hits over contacts; its
loss is relative to the same way of serving without promises.  The marks saw the events of the
window before, so prices that are learnt there are optimistic, as in the paper.

The official code's dual, in its own form, is timed beside ours in the same process.
"""

from __future__ import annotations

import time
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from makedo.core.paired import Metric
from makedo.core.results import Record, measured
from makedo.core.seeds import generator
from makedo.core.tables import Row
from makedo.data.interactions import Requests
from makedo.methods.rim.matcher import BudgetMatcher
from makedo.methods.rim.reproduce.naive_dual import N_EPOCHS, naive_dual
from makedo.methods.rim.reproduce.protocols import Protocol, complete_journey, movielens
from makedo.methods.rim.scores import ScoreOperator

TITLE = "Campaign plans under promises to items: delivered share and precision"
RUN_TIME = "Campaign plans: run time beside the official form of the dual, one process, one thread"
SHARE = Metric("delivered share, %", scale=1.0, decimals=1)
SERVED = Metric("items fully served, %", scale=1.0, decimals=1)
PRECISION = Metric("precision, %", scale=1.0, decimals=2)
LOSS = Metric("precision lost, %", scale=1.0, decimals=1, higher_is_better=False)
GAP = Metric("certified gap, %", scale=1.0, decimals=3, higher_is_better=False)
SECONDS = Metric("seconds", scale=1.0, decimals=1, higher_is_better=False)
RATIO = Metric("times faster", scale=1.0, decimals=0)
MODELS = {
    "ml-100k": (("EASE", "HP"), ("ItemPop", "EMA")),
    "completejourney": (("PersonalRepeat", "HP"),),
}
LENGTHS = {"ml-100k": (16, 5), "completejourney": (15, 25)}  # k, c
PROMISES = (0.0, 0.3, 0.7, 1.0)  # m
WAYS: dict[str, dict[str, Any] | None] = {
    "planned on the window itself": None,
    "online, frozen prices": {"adaptive": False},
    "online, frozen prices, scores rescaled": {"adaptive": False, "rescale": True},
    "online, adaptive prices": {},
    "online, adaptive prices, step 0.03": {"step": 0.03},
    "online, adaptive prices, step 0.3": {"step": 0.3},
}
WAYS_AT = {  # where the other ways are the same, or no slack is left
    0.0: ("planned on the window itself", "online, frozen prices"),
    1.0: ("planned on the window itself",),
}
N_ORDERS = 5  # of users of equal time
TIMED_EPOCHS = {"ml-100k": N_EPOCHS, "completejourney": 5}


class Window(NamedTuple):
    """Requests with their scores, and what came true."""

    requests: Requests
    scores: ScoreOperator
    targets: Any


@lru_cache(maxsize=2)
def windows(data: str, mark: str, rate: str) -> tuple[Window, Window]:
    """The window before the test, and the test."""
    protocol: Protocol = movielens(1) if data == "ml-100k" else complete_journey()
    split = protocol.split
    marks = protocol.marks[mark]().fit(split.train, split.horizon)
    model, before = protocol.intensities[rate](), split.valid[0]
    if model.needs_counts:
        model.fit(before, before.counts(split.valid_horizon), split.valid_horizon)
    else:
        model.fit(split.train, None, split.horizon)
    found = []
    for one, horizon in ((before, split.valid_horizon), (split.test, split.horizon)):
        requests = one.restricted(split.test.candidates)
        scores = marks.scores(requests).take(items=requests.candidates)
        scores = scores.scaled(model.predict(requests))
        if protocol.exclude_seen:
            scores = scores.without(requests.seen())
        targets = requests.targets(horizon, exclude_seen=protocol.exclude_seen)
        found.append(Window(requests, scores, targets))
    return found[0], found[1]


def promise(data: str, m: float) -> int:
    """The least number of users of each item."""
    return int(np.ceil(round(LENGTHS[data][1] * m, 6)))


def rows(data: str) -> list[Row]:
    """Each way of serving for each promise, then the run times."""
    lines = []
    for mark, rate in MODELS[data]:
        for m in PROMISES:
            for way in WAYS:
                if m in WAYS_AT and way not in WAYS_AT[m]:
                    continue
                name = f"{mark} × {rate}, m = {m:g}: {way}"
                work = partial(compute, data, mark, rate, m, way)
                lines.append(Row(TITLE, data, name, work))
    mark, rate = MODELS[data][0]
    work = partial(run_time, data, mark, rate, 0.3)
    return [*lines, Row(RUN_TIME, data, f"{mark} × {rate}, m = 0.3", work)]


def compute(data: str, mark: str, rate: str, m: float, way: str) -> list[Record]:
    """All figures of one way of serving."""
    low = promise(data, m)
    plans, gap = served(data, mark, rate, m, way)
    plain = way if way in WAYS_AT[0.0] else "online, frozen prices"
    free, _ = served(data, mark, rate, 0.0, plain)
    targets = windows(data, mark, rate)[1].targets
    n_items = targets.shape[1]
    precision = [100 * hit_rate(plan, targets) for plan in plans]
    reference = [100 * hit_rate(plan, targets) for plan in free]
    records = [measured(PRECISION, PRECISION.name, precision)]
    if low:
        given = [np.bincount(plan[:, 1], minlength=n_items) for plan in plans]
        share = [100 * float(np.minimum(one, low).mean() / low) for one in given]
        full = [100 * float((one >= low).mean()) for one in given]
        lost = [100 * (1 - p / r) for p, r in zip(precision, reference, strict=True)]
        records = [measured(SHARE, SHARE.name, share), measured(SERVED, SERVED.name, full),
                   *records, measured(LOSS, LOSS.name, lost)]  # fmt: skip
    return [*records, *([] if gap is None else [measured(GAP, GAP.name, [100 * gap])])]


@lru_cache(maxsize=64)
def served(
    data: str, mark: str, rate: str, m: float, way: str
) -> tuple[list[np.ndarray], float | None]:
    """Plans as positions of users and items (n_contacts, 2), and the gap where there is one."""
    before, test = windows(data, mark, rate)
    how = WAYS[way]
    if how is None:
        matcher = fitted(data, mark, rate, m, False)
        return [places(matcher.plan_, np.arange(len(test.requests)))], matcher.duality_gap_
    matcher, plans = fitted(data, mark, rate, m, True), []
    for seed in range(N_ORDERS):
        order = np.lexsort(
            (generator(seed, "order").random(len(test.requests)), test.requests.time)
        )
        plan = matcher.transform(test.scores.take(rows=order), **how)
        plans.append(places(plan, order))
    return plans, None


@lru_cache(maxsize=32)
def fitted(data: str, mark: str, rate: str, m: float, is_before: bool) -> BudgetMatcher:
    """The matcher, fitted on the window before or on the test."""
    window = windows(data, mark, rate)[0 if is_before else 1]
    matcher = BudgetMatcher(user_max=LENGTHS[data][0], item_min=promise(data, m))
    return matcher.fit(window.scores)


def places(plan: pd.DataFrame, order: np.ndarray) -> np.ndarray:
    """Users and items of a plan by position; its users are numbered in this order."""
    return np.column_stack([order[plan["user_id"].to_numpy()], plan["item_id"].to_numpy()])


def hit_rate(plan: np.ndarray, targets: Any) -> float:
    """Share of the contacts that came true."""
    return float(np.asarray(targets[plan[:, 0], plan[:, 1]]).mean())


def run_time(data: str, mark: str, rate: str, m: float) -> list[Record]:
    """Seconds of ours (reading of scores, prices, certificate, plan) and of the official form."""
    from threadpoolctl import threadpool_limits

    test = windows(data, mark, rate)[1]
    dense = test.scores.to_dense()
    with threadpool_limits(1):
        started = time.process_time()
        fresh = BudgetMatcher(user_max=LENGTHS[data][0], item_min=promise(data, m))
        fresh.fit(dense)
        ours = time.process_time() - started
        started = time.process_time()
        epochs = TIMED_EPOCHS[data]
        naive_dual(dense, LENGTHS[data][0], promise(data, m), n_epochs=epochs)
        naive = (time.process_time() - started) * N_EPOCHS / epochs
    note = "" if epochs == N_EPOCHS else f"{epochs} of its {N_EPOCHS} epochs, times the rest"
    return [
        measured(SECONDS, "ours, seconds of a processor", [ours]),
        measured(SECONDS, "official form, seconds of a processor", [naive], note=note),
        measured(RATIO, RATIO.name, [naive / ours]),
    ]
