"""Products of a year of groceries: from the log to lists both ways, how long, and in what memory?

Complete Journey (dunnhumby; simulated, says the package that redistributes it), every product that
at least five households bought before 30 November 2017: 2,469 households, 24,381 products.  Split,
Hawkes-Poisson, EASE in its form for fewer users than items, or the user's own repeats; then the
best 100 products of each household and the best 100 households of each product, from one pass.  The
memory is the peak of all.

    MAKEDO_DATA=… python benchmarks/rim_products.py [--threads 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from makedo.core.checks import MakedoInputError
from makedo.data import catalog
from makedo.data.interaction_splits import Split, temporal_split
from makedo.data.interactions import InteractionLog
from makedo.data.times import seconds
from makedo.methods.rim import EASE, HawkesPoisson, PersonalRepeat

TOP = 100
FEWEST_BUYERS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    try:
        with threadpool_limits(arguments.threads):
            figures = measure()
    except MakedoInputError as error:
        print(f"skipped: {error}")
        return
    for name, value in figures.items():
        print(f"{name:<60} {value}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def measure() -> dict[str, Any]:
    """Seconds of each step, and the memory of all."""
    figures: dict[str, Any] = {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        found = step()
        figures[f"{name}, s"] = round(time.perf_counter() - started, 2)
        return found

    split = timed("log and split", products)
    figures["requests × items"] = [len(split.test), len(split.test.candidates)]
    rate = timed("λ: Hawkes-Poisson", lambda: rates(split))
    for marks in (EASE(), PersonalRepeat()):
        name = type(marks).__name__
        timed(f"{name}: fit", lambda marks=marks: marks.fit(split.train, split.horizon))
        scores = timed(
            f"{name}: factors of the requests",
            lambda marks=marks: (
                marks.scores(split.test).take(items=split.test.candidates).scaled(rate)
            ),
        )
        lists = timed(
            f"{name}: best {TOP} both ways", lambda scores=scores: scores.top_both(TOP, TOP)
        )
        rows = np.arange(0, len(split.test), 500)
        dense = scores.take(rows=rows).to_dense()
        best = -np.sort(-dense, axis=1)[:, :TOP]
        agree = np.allclose(lists[0].score[rows], best, rtol=1e-5)
        figures[f"{name}: sampled rows equal the dense ones"] = bool(agree)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    figures["peak memory, GB"] = round(peak, 2)
    return figures


def products() -> Split:
    """Products with enough buyers before the test, whose targets are four weeks."""
    events = catalog.load("completejourney").events[["user_id", "item_id", "timestamp"]]
    events = events.drop_duplicates()
    cut = float(seconds("2017-11-30"))
    before = events[events["timestamp"] < cut]
    buyers = before.drop_duplicates(["user_id", "item_id"])["item_id"].value_counts()
    known = events["item_id"].isin(buyers.index[buyers >= FEWEST_BUYERS])
    return temporal_split(InteractionLog.read(events[known]), cut, "28D")


def rates(split: Split) -> np.ndarray:
    """λ of the test requests."""
    model = HawkesPoisson().fit(split.valid[0], None, split.valid_horizon)
    return model.predict(split.test)


if __name__ == "__main__":
    main()
