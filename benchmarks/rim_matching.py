"""A hundred thousand users, ten thousand items: what does a certified plan cost?

Each user has up to 100 candidate items, drawn by a heavy-tailed popularity; scores are activity
times choice, both heavy-tailed.  Users get 5 items, items at least 0.3 and at most 2 times their
even share.  A greedy plan of sorted pairs, which keeps the maxima but promises nothing, stands
beside it.  With --naive the dual in the form of the paper's code is timed on a small dense problem
of the same kind, where both are run to their end.

    python benchmarks/rim_matching.py [--users 100000 --items 10000 --threads 2] [--naive]
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from makedo import BudgetMatcher
from makedo.core.seeds import generator

K = 5  # items of a user


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--naive", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    scores = make_scores(arguments.users, arguments.items, arguments.candidates)
    with threadpool_limits(arguments.threads):
        figures = measure(scores)
        if arguments.naive:
            figures |= beside_naive()
    sizes = [arguments.users, arguments.items, arguments.candidates, arguments.threads]
    figures = {"users, items, candidates, threads": sizes, "pairs": scores.nnz} | figures
    for name, value in figures.items():
        print(f"{name:<52} {value}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def make_scores(n_users: int, n_items: int, many: int) -> sp.csr_matrix:
    """Scores of at most so many candidates of each user; the popular ones are drawn more often."""
    rng = generator(0, "scores")
    cumulative = np.cumsum(rng.pareto(1.0, n_items) + 0.2)
    data, items, lengths = [], [], []
    for begin in range(0, n_users, 4096):
        size = min(4096, n_users - begin)
        drawn = np.searchsorted(cumulative, rng.random((size, 3 * many)) * cumulative[-1])
        drawn.sort(axis=1)
        fresh = np.diff(drawn, axis=1, prepend=-1) > 0
        fresh &= np.cumsum(fresh, axis=1) <= many
        score = rng.pareto(1.5, (size, 1)) * rng.gamma(0.5, size=drawn.shape)
        data.append(score[fresh].astype(np.float32))
        items.append(drawn[fresh].astype(np.int32))
        lengths.append(fresh.sum(1))
    start = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    return sp.csr_matrix((np.concatenate(data), np.concatenate(items), start), (n_users, n_items))


def measure(scores: Any) -> dict[str, Any]:
    """Seconds, gap and promises of the plan."""
    n_users, n_items = scores.shape
    even, receivers = n_users * K / n_items, np.bincount(scores.indices, minlength=n_items)
    low = np.minimum(np.ceil(0.3 * even), receivers // 2)
    matcher = BudgetMatcher(K, low, int(2 * even))
    clock, processor = time.perf_counter(), time.process_time()
    matcher.fit(scores)
    seconds = [time.perf_counter() - clock, time.process_time() - processor]
    started = time.perf_counter()
    greedy = greedy_value(scores, int(2 * even))
    return {
        "seconds by the clock": round(seconds[0], 1),
        "seconds of the processors": round(seconds[1], 1),
        "passes": int(matcher.history_["passes"].iloc[-1]),
        "certified gap": f"{matcher.duality_gap_:.1e}",
        "delivered share of the minima": matcher.delivered_share_,
        "most contacts of an item, of so many allowed": [
            int(matcher.prices_["delivered"].max()), int(2 * even)],
        "greedy without minima: value over ours": round(greedy / matcher.value_, 4),
        "greedy: seconds": round(time.perf_counter() - started, 1),
        "peak memory, GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }  # fmt: skip


def greedy_value(scores: Any, most: int) -> float:
    """Sum of the pairs that are accepted from the best downwards."""
    order = np.argsort(-scores.data, kind="stable")
    user = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))[order].tolist()
    item, left = scores.indices[order].tolist(), [K] * scores.shape[0]
    room, value = [most] * scores.shape[1], 0.0
    for x, y, s in zip(user, item, scores.data[order].tolist(), strict=True):
        if left[x] and room[y]:
            left[x], room[y], value = left[x] - 1, room[y] - 1, value + s
    return value


def beside_naive() -> dict[str, Any]:
    """Ours and the paper's form on 400 users and 500 items, dense, alternately."""
    from makedo.methods.rim.reproduce.naive_dual import naive_dual

    rng = generator(0, "small")
    dense = rng.pareto(1.5, (400, 1)) * rng.dirichlet(np.full(500, 0.3), 400)
    ours, naive = [], []
    price, matcher = np.zeros(500), BudgetMatcher(K, 2)
    for _ in range(3):
        started = time.process_time()
        matcher.fit(dense)
        ours.append(time.process_time() - started)
        started = time.process_time()
        price = naive_dual(dense, K, 2)
        naive.append(time.process_time() - started)
    surplus = dense - price
    best = np.sort(surplus, 1)[:, -K:]
    value = np.maximum(best, 0).sum() - 2 * np.maximum(-price, 0).sum()  # its bound
    return {
        "400 × 500: naive over ours, times": round(float(np.median(naive) / np.median(ours)), 1),
        "400 × 500: its bound over our plan's value": round(float(value / matcher.value_), 5),
    }


if __name__ == "__main__":
    main()
