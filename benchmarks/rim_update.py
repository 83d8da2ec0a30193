"""A million new events: how fast are they taken in, and is the state then that of the whole log?

100,000 users with a million events get a million more: dated by the day, so that many are tied, a
tenth of them late, some before their user's first event, a hundredth of new users.  They come in
batches of several sizes.  The sums of decaying exponentials of all users (16 scales), from which λ
follows, are compared with those computed anew from the whole log.  ``RIM.update`` also merges the
events into the sorted log, whose histories p(y|x) reads: that copies the log.

    python benchmarks/rim_update.py [--users 100000 --events 1000000 --threads 1] [--json FILE]
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from makedo.core.seeds import generator
from makedo.data.interactions import InteractionLog, Requests
from makedo.methods.rim import RIM
from makedo.methods.rim.hawkes import activity

DAY = 86_400
BATCHES = (1_000_000, 10_000, 100, 1)
MOST_BATCHES = 2_000  # of a size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    with threadpool_limits(arguments.threads):
        figures = measure(arguments.users, arguments.events)
    for name, value in figures.items():
        print(f"{name:<66} {value}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def make_events(n_users: int, n_events: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What is there, and what comes; no two of one user, item and time."""
    rng = generator(0, "update")
    rate = rng.gamma(0.5, 1.0, n_users) + 1e-3
    user = rng.choice(n_users, 2 * n_events, p=rate / rate.sum())
    time = rng.integers(0, 365, len(user)) * DAY
    events = pd.DataFrame({"user_id": user, "item_id": rng.integers(0, 1_000, len(user))})
    events = events.assign(timestamp=time).drop_duplicates()
    late = (rng.random(len(events)) < 0.1) | (events["user_id"] % 100 == 0)  # or of new users
    order = np.lexsort((events["timestamp"], late))
    half = len(events) // 2
    first = events.iloc[order[:half]]
    rest = events.iloc[order[half:]]
    return first, rest.sample(frac=1, random_state=0)


def measure(n_users: int, n_events: int) -> dict[str, Any]:
    """Events a second by size of batch, and agreement."""
    first, rest = make_events(n_users, n_events)
    model = RIM("popularity", horizon="28D").fit(InteractionLog.read(first))
    new = InteractionLog.read(rest)
    joined = model.log_.append(new)
    order = generator(0, "order").permutation(len(new))
    user = joined.user_positions(new.users)[new.user][order]
    time_ = new.time[order]

    rates = {size: rate(copy.deepcopy(model.live_), user, time_, size) for size in BATCHES}
    live = model.live_
    for begin in range(0, len(user), 10_000):
        live.add(user[begin : begin + 10_000], time_[begin : begin + 10_000])
    now = Requests.at(joined, float(joined.time.max()) + 1)
    started = time.perf_counter()
    anew = activity(now, live.decays, live.horizon)
    rebuild = time.perf_counter() - started
    kept = live.at(now.time, now.user)

    model = RIM("popularity", horizon="28D").fit(InteractionLog.read(first))
    started = time.perf_counter()
    model.update(new)
    whole = time.perf_counter() - started
    rate_error = error(model.rate(Requests.at(model.log_, model.now_)), model, model.now_)
    return {
        "users, events before, new events": [n_users, len(first), len(new)],
        "events at the time of another of their user": f"{tied(joined):.1%} of all",
        **{f"events/s in batches of {size:,}": round(rates[size]) for size in BATCHES},
        "RIM.update of all at once, log merged too: events/s": round(len(new) / whole),
        "the sums of the whole log anew: s": round(rebuild, 2),
        "largest relative error of the sums": f"{relative(kept.excited, anew.excited):.1e}",
        "counts of events are equal": bool((kept.count == anew.count).all()),
        "largest relative error of λ after RIM.update": f"{rate_error:.1e}",
    }


def rate(live: Any, user: np.ndarray, time_: np.ndarray, size: int) -> float:
    """Events/s in batches of a size."""
    stop = min(len(user), size * MOST_BATCHES)
    started = time.perf_counter()
    for begin in range(0, stop, size):
        live.add(user[begin : begin + size], time_[begin : begin + size])
    return stop / (time.perf_counter() - started)


def tied(log: InteractionLog) -> float:
    """Share of events at the time of the one before, of the same user."""
    same = (np.diff(log.time) == 0) & (np.diff(log.user) == 0)
    return float(same.mean())


def error(found: np.ndarray, model: RIM, now: float) -> float:
    """Of λ that was kept up to date, beside λ of the histories."""
    return relative(found, model.intensity_.predict(Requests.at(model.log_, now)))


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest relative error; numbers below 1e-300 are zero."""
    large = np.abs(expected) > 1e-300
    return float(np.abs(found[large] / expected[large] - 1).max())


if __name__ == "__main__":
    main()
