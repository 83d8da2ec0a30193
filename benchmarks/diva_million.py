"""All leave-one-out derivatives of a million rows: how long, how much memory, how exact?

A float32 matrix (a million rows, 512 features, 10 classes, a tenth of the labels wrong; 2 GB) is
written to a temporary file and mapped, so that it is never held as a whole.  ``fit`` at a given
penalty checks the file, scales it, fits the head and takes the derivative by every weight.  Its
time stands beside that of the four products it cannot do without (2·N·D² each: gram matrix,
leverages, curvature, last pass), counted without using symmetry, at the rate that float32 products
reach in this run.  The path of penalties is timed apart.  Then the agreement: leave-one-out
predictions of ten rows with refits in float64, and the derivatives of the first 20,000 rows in
float32 with those in float64.

    python benchmarks/diva_million.py [--rows 1000000 --features 512 --threads 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from makedo.core.seeds import generator
from makedo.methods.diva import DatasetDerivative, outer_loss, penalty

N_CLASSES, WRONG = 10, 0.1
PENALTY = 100.0
BLOCK = 16_384
N_REFITS, N_COMPARED = 10, 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", help="where the temporary file lies")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=arguments.folder) as folder,
        threadpool_limits(arguments.threads),
    ):
        path = Path(folder) / "features.npy"
        y = write(path, arguments.rows, arguments.features)
        figures = measure(path, y, arguments.threads)
    for name, value in figures.items():
        print(f"{name:<66} {value}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def write(path: Path, n_rows: int, n_features: int) -> np.ndarray:
    """Rows around the mean of their class, block by block; the labels, some of them wrong."""
    rng = generator(0, "million")
    y = rng.integers(0, N_CLASSES, n_rows)
    means = 0.1 * rng.standard_normal((N_CLASSES, n_features), dtype="float32")
    spread = np.geomspace(1, 0.1, n_features, dtype="float32")
    header = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, n_features)}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, n_rows, BLOCK):
            part = y[start : start + BLOCK]
            rows = rng.standard_normal((len(part), n_features), dtype="float32") * spread
            (rows + means[part]).tofile(file)
    wrong = rng.random(n_rows) < WRONG
    return np.where(wrong, rng.integers(0, N_CLASSES, n_rows), y)


def measure(path: Path, y: np.ndarray, threads: int) -> dict[str, Any]:
    """Seconds, memory and agreement."""
    X = np.load(path, mmap_mode="r")
    n, d = X.shape
    load = [round(x, 1) for x in os.getloadavg()]
    rates = [rate()]
    model, seconds = timed(lambda: DatasetDerivative(PENALTY, dtype="float32").fit(X, y))
    memory = peak()
    rates.append(rate())
    rows, Y = model._head.rows, model._head.Y
    even = np.full(n, 1 / n)
    _, path_seconds = timed(
        lambda: penalty.path(rows, Y, model.sample_weight_, outer_loss.squared, even)
    )
    products = 4 * 2 * n * d**2
    pure = products / (1e9 * max(rates))
    return {
        "rows, features, classes, threads": [n, d, N_CLASSES, threads],
        "load of the machine before": load,
        "all derivatives at a given penalty: s": round(seconds, 2),
        "peak resident memory, mapped pages included: GB": round(memory, 2),
        "float32 products: GFLOP/s, before and after": [round(r) for r in rates],
        "four products of 2·N·D²: flop": f"{products:.3g}",
        "four products at the better of these rates: s": round(pure, 2),
        "time as a multiple of these": round(seconds / pure, 2),
        "path of 25 penalties: s": round(path_seconds, 2),
        "largest error of leave-one-out predictions beside refits": refits(model, X),
        "largest error of float32 derivatives, of the largest": precision(X, y),
    }  # fmt: skip


def timed(work: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def rate(size: int = 3072) -> float:
    """GFLOP/s of float32 products, the best of some."""
    a = np.ones((size, size), "float32")
    a @ a
    return 2e-9 * size**3 / min(timed(lambda: a @ a)[1] for _ in range(7))


def peak() -> float:
    """Largest resident memory of this process so far, in GB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e9 if sys.platform == "darwin" else most / 1e6


def refits(model: DatasetDerivative, X: np.ndarray) -> str:
    """Refit without a row, by its normal equations in float64, on the features as they are."""
    Y, d = model._head.Y, X.shape[1]
    gram, moment = np.zeros((d + 1, d + 1)), np.zeros((d + 1, Y.shape[1]))
    for start in range(0, len(X), BLOCK):
        Z = design(model, X[start : start + BLOCK])
        gram += Z.T @ Z
        moment += Z.T @ Y[start : start + BLOCK]
    gram[np.diag_indices(d)] += PENALTY
    worst = 0.0
    for i in generator(0, "refits").integers(0, len(X), N_REFITS):
        z = design(model, X[i : i + 1])
        W = np.linalg.solve(gram - z.T @ z, moment - z.T @ Y[i : i + 1])
        worst = max(worst, np.abs(z @ W - model.loo_predictions_[i]).max())
    return f"{worst:.1e}"


def design(model: DatasetDerivative, rows: np.ndarray) -> np.ndarray:
    """Rows as the head scales them, in float64, with the constant column."""
    Z = (rows.astype(float) - model.mean_) / model.scale_
    return np.hstack([Z, np.ones((len(Z), 1))])


def precision(X: np.ndarray, y: np.ndarray) -> str:
    """Float32 beside float64, on some rows."""
    X, y = X[:N_COMPARED], y[:N_COMPARED]
    fine, coarse = (
        DatasetDerivative(PENALTY, dtype=dtype).fit(X, y).gradient_
        for dtype in ("float64", "float32")
    )
    return f"{np.abs(fine - coarse).max() / np.abs(fine).max():.1e}"


if __name__ == "__main__":
    main()
