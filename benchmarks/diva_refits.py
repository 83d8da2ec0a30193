"""Leave-one-out in closed form, beside one refit of scikit-learn's Ridge for each row left out.

2,000 rows, 256 features, 10 classes.  Ours gives the leave-one-out predictions *and* all
derivatives of their loss; the refits (N times ``Ridge.fit`` on N − 1 rows, and one prediction) give
the predictions only.  Both run alternately, a tenth of the refits at a time; the predictions of all
rows are compared.

    python benchmarks/diva_refits.py [--rows 2000 --features 256 --threads 1] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits

from makedo.core.seeds import generator
from makedo.methods.diva import DatasetDerivative

N_CLASSES, PENALTY, PARTS = 10, 100.0, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    with threadpool_limits(arguments.threads):
        figures = measure(arguments.rows, arguments.features, arguments.threads)
    for name, value in figures.items():
        print(f"{name:<66} {value}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def measure(n_rows: int, n_features: int, threads: int) -> dict[str, Any]:
    """Seconds of both, and how far their predictions are apart."""
    rng = generator(0, "refits")
    y = rng.integers(0, N_CLASSES, n_rows)
    X = rng.standard_normal((n_rows, n_features)) + 0.5 * np.eye(N_CLASSES, n_features)[y]
    Y = np.eye(N_CLASSES)[y]
    load = [round(x, 1) for x in os.getloadavg()]
    closed_form(X, y), refit(X, Y, 0)  # warm up
    ours, theirs, by_refit = [], [], np.empty(Y.shape)
    for part in np.array_split(np.arange(n_rows), PARTS):
        started = time.perf_counter()
        model = closed_form(X, y)
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        for i in part:
            by_refit[i] = refit(X, Y, i)
        theirs.append(time.perf_counter() - started)
    ratio = sum(theirs) / statistics.median(ours)
    apart = np.abs(model.loo_predictions_ - by_refit).max()
    return {
        "rows, features, classes, threads": [n_rows, n_features, N_CLASSES, threads],
        "load of the machine before": load,
        "closed form, derivatives included: ms, median (fastest)": (
            f"{1e3 * statistics.median(ours):.1f} ({1e3 * min(ours):.1f})"
        ),
        f"{n_rows:,} refits: s": round(sum(theirs), 2),
        "refits / closed form": f"{ratio:,.0f}x",
        "largest difference of a prediction": f"{apart:.1e}",
    }


def closed_form(X: np.ndarray, y: np.ndarray) -> DatasetDerivative:
    return DatasetDerivative(PENALTY, scale=None).fit(X, y)


def refit(X: np.ndarray, Y: np.ndarray, i: int) -> np.ndarray:
    """Row i as the others predict it, (c,)."""
    others = np.arange(len(X)) != i
    return Ridge(PENALTY).fit(X[others], Y[others]).predict(X[i : i + 1])[0]


if __name__ == "__main__":
    main()
