"""Items for a million users and users for a hundred thousand items in one pass: what does it cost?

Scores are those of a sequence model with activity, log S = h·W + b + (log λ − log Z): random
factors of rank 64 with a term for each item and each user, both heavy-tailed.  The exact 100 best
items of each user and the 100 best users of each item come from one pass over blocks of the
product; lists of users are written to a file as they come.  Its time stands beside that of the
products of the same blocks alone, before and after in the same run, and the items for users alone
beside implicit's compiled search, where that is installed.  Scores of some rows and columns are
checked against products in float64.

A part of the users overstates the cost of the columns, whose bounds are still loose: take at least
65,536.  All 1,000,000 take four to eight minutes on two cores.

    python benchmarks/rim_topk.py [--users 65536 --items 100000 --threads 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from makedo.core.seeds import generator
from makedo.methods.rim.best import n_threads
from makedo.methods.rim.scores import Lists, ScoreOperator

N_CHECKED = 20  # rows and columns
N_ALONE = 16_384  # users for the rows alone, where they are compared with implicit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=65_536)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--top", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", help="where the temporary file of lists lies")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    scores = make_scores(arguments.users, arguments.items, arguments.rank)
    with (
        tempfile.TemporaryDirectory(dir=arguments.folder) as folder,
        threadpool_limits(arguments.threads),
    ):
        figures = measure(scores, arguments.top, Path(folder) / "lists")
    figures = {"users, items, rank, top, threads": list(vars(arguments).values())[:5]} | figures
    for name, value in figures.items():
        print(f"{name:<66} {value}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def make_scores(n_users: int, n_items: int, rank: int) -> ScoreOperator:
    """Random factors; logits with a standard deviation of about 1 beside the terms."""
    rng = generator(0, "scores")
    size = np.float32(rank**-0.25)
    users = rng.standard_normal((n_users, rank), dtype=np.float32) * size
    items = rng.standard_normal((n_items, rank), dtype=np.float32) * size
    popularity = rng.standard_normal(n_items, dtype=np.float32)
    activity = rng.standard_normal(n_users)
    return ScoreOperator(
        (n_users, n_items), users, items, item_term=popularity, link="exp", log_scale=activity
    )


def measure(scores: ScoreOperator, top: int, path: Path) -> dict[str, Any]:
    """Seconds, memory and agreement."""
    n, m = scores.shape
    load = [round(x, 1) for x in os.getloadavg()]
    some = scores.take(slice(0, min(n, N_ALONE)))
    timed = some if n > 4 * N_ALONE else scores  # for the products alone
    before = products(timed)
    found: list[Lists] = []
    with open(path, "wb") as file:
        both = clock(
            lambda: found.append(scores.top_both(top, top, lambda *one: write(file, *one))[1])
        )
    memory = peak()
    after = products(timed)
    product = np.minimum(before, after) * n / timed.shape[0]
    alone = clock(lambda: some.top_items(top))
    rows, index, score = read(path, n, top)
    share = some.shape[0] / n
    return {
        "load of the machine before": load,
        "both ways in one pass: s": round(both[0], 1),
        "users/s": round(n / both[0]),
        "peak resident memory: GB": round(memory, 2),
        "products of the same blocks alone, faster run: s": round(product[0], 1),
        "products timed for users": timed.shape[0],
        "GFLOP/s of the products": round(2e-9 * n * m * scores.users.shape[1] / product[0]),
        "time as a multiple of the products, by the clock": round(both[0] / product[0], 2),
        "the same by processor time, of all threads": round(both[1] / product[1], 2),
        f"items for {some.shape[0]:,} users alone: users/s": round(some.shape[0] / alone[0]),
        "its time as a multiple of the products, by the clock": round(
            alone[0] / product[0] / share, 2
        ),
        "by processor time": round(alone[1] / product[1] / share, 2),
        "implicit, items for these users: users/s": implicit_rate(some, top),
        "largest relative error of scores of lists, rows and columns": [
            check_rows(scores, rows, index, score, top),
            check_columns(scores, found[0], top),
        ],
    }  # fmt: skip


def write(file: Any, rows: np.ndarray, index: np.ndarray, score: np.ndarray) -> None:
    """One record a user: its position, items, scores."""
    record = np.hstack([rows.astype(np.int32)[:, None], index, score.view(np.int32)])
    record.tofile(file)


def read(path: Path, n: int, top: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, items and scores of the file; of a sample of the users."""
    record = np.memmap(path, np.int32, mode="r", shape=(n, 1 + 2 * top))
    found = np.array(record[generator(0, "rows").integers(0, n, N_CHECKED)])
    return found[:, 0], found[:, 1 : top + 1], found[:, top + 1 :].view(np.float32)


def products(scores: ScoreOperator) -> np.ndarray:
    """Seconds of the products alone, of the same blocks into the same memory."""
    parts = list(scores._row_blocks(scores.shape[0]))
    buffer = np.zeros((parts[0].stop, scores.shape[1]), np.float32)

    def work() -> None:
        for part in parts:
            scores._product(part, buffer[: part.stop - part.start])

    return clock(work)


def clock(work: Any) -> np.ndarray:
    """Seconds by the clock, and of the processors."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return np.array([time.perf_counter() - wall, time.process_time() - processor])


def implicit_rate(scores: ScoreOperator, top: int) -> Any:
    """Users/s of implicit's search, the term of an item being one more factor; it has no other."""
    if find_spec("implicit") is None:
        return "not installed"
    from implicit.cpu.topk import topk  # pyright: ignore[reportMissingImports]

    assert scores.item_term is not None
    items = np.hstack([scores.items, scores.item_term[:, None]])
    users = np.hstack([scores.users, np.ones((scores.shape[0], 1), np.float32)])
    threads = n_threads()
    found: list[Any] = []

    def search() -> None:
        found.append(topk(items, users, top, num_threads=threads))

    seconds = clock(search)[0]
    ours = scores.top_items(top)
    same = np.mean(ours.index == found[0][0])
    return f"{scores.shape[0] / seconds:.0f} ({same:.4%} of the entries are ours)"


def exact(scores: ScoreOperator, users: Any, items: Any) -> np.ndarray:
    """Logarithms of S in float64."""
    assert scores.item_term is not None and scores.log_scale is not None
    product = scores.users[users].astype(float) @ scores.items[items].astype(float).T
    return product + scores.item_term[items] + scores.log_scale[users, None]


def check_rows(
    scores: ScoreOperator, rows: np.ndarray, index: np.ndarray, score: np.ndarray, top: int
) -> str:
    """Of sampled users: what is listed has the largest scores of all items, and its own score."""
    worst = 0.0
    for row, items, found in zip(rows, index, score, strict=True):
        dense = exact(scores, [row], slice(None))[0]
        worst = max(worst, relative_error(dense, items, found, top))
    return f"{worst:.1e}"


def check_columns(scores: ScoreOperator, columns: Lists, top: int) -> str:
    """Of sampled items, in the same way."""
    worst = 0.0
    for item in generator(0, "columns").integers(0, scores.shape[1], N_CHECKED):
        dense = exact(scores, slice(None), [item])[:, 0]
        worst = max(worst, relative_error(dense, columns.index[item], columns.score[item], top))
    return f"{worst:.1e}"


def relative_error(dense: np.ndarray, index: np.ndarray, score: np.ndarray, top: int) -> float:
    """The larger one: of scores of lists beside the largest, or beside those of what they name."""
    best = np.exp(np.sort(dense)[::-1][:top])
    own = np.exp(dense[index])
    return float(max(np.abs(own / best - 1).max(), np.abs(score / own - 1).max()))


def peak() -> float:
    """Largest resident memory of this process so far, in GB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e9 if sys.platform == "darwin" else most / 1e6


if __name__ == "__main__":
    main()
