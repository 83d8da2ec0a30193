"""How long does Cold Brew take on Cora, and is the short way as good as the long one?

Cora's public split, one thread, imports done, the model's defaults.  Beside the fit: the same fit
with every candidate it chooses among; a plain version (full batches, 150 epochs, no early stop)
and the defaults without early stop, whose accuracy is compared over ten seeds; the look-up of
virtual neighbours as a loop over rows, the way a naive implementation does it in every epoch, with
a check that it finds the same neighbours; and the time to answer for one new node.

    python benchmarks/cold_brew_fit.py [--seeds 10] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time

import numpy as np
import torch

import makedo
from makedo.core.paired import t_interval
from makedo.data import catalog
from makedo.methods.cold_brew import ColdBrewClassifier
from makedo.methods.cold_brew.student import nearest_in_bank

# What a plain version does: full batches, 150 epochs of each student part, no early stop.
PLAIN = {
    "max_epochs": 200, "patience": 200, "student_max_epochs": 150, "student_patience": 150,
    "part1_patience": 150, "student_learning_rate": 0.005, "batch_size": 100_000,
}  # fmt: skip
# The defaults without early stop.
EVERY_EPOCH = {"patience": 500, "student_patience": 150, "part1_patience": 150}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cora = catalog.load("cora")
    masks = {name: cora.masks[part][0] for name, part in
             (("train_mask", "train"), ("valid_mask", "valid"))}  # fmt: skip
    data = {"X": cora.X, "y": cora.y, "graph": cora.graph, **masks}
    figures = fits(data, cora.masks["test"][0], arguments.seeds)
    figures |= look_up(ColdBrewClassifier().fit(**data))
    figures |= one_node(data, cora.X[cora.masks["test"][0]])
    for name, value in figures.items():
        print(f"{name:<62} {value}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)


def fits(data: dict, test: np.ndarray, n_seeds: int) -> dict[str, object]:
    """Seconds of the fits, alternately, and what not hurrying would add in accuracy."""
    ways = {
        "teacher, bank, both parts": {"cold_part": "student"},
        "the same and every other candidate": {},
        "plain version": {"cold_part": "student", **PLAIN},
        "every allowed epoch": {"cold_part": "student", **EVERY_EPOCH},
    }
    ColdBrewClassifier(max_epochs=2, student_max_epochs=2).fit(**data)  # warm up
    seconds = {way: [] for way in ways}
    right = {way: [] for way in ways}
    for seed in range(n_seeds):
        for way, settings in ways.items():
            started = time.perf_counter()
            model = ColdBrewClassifier(random_state=seed, **settings).fit(**data)
            seconds[way].append(time.perf_counter() - started)
            cold = model._server.cold(model.scaler_.transform(data["X"][test]), "student")
            right[way].append(100 * float((cold.argmax(1) == data["y"][test]).mean()))
    figures: dict[str, object] = {}
    ours = "teacher, bank, both parts"
    for way in ways:
        median, slowest = statistics.median(seconds[way]), max(seconds[way])
        figures[f"{way}: s, median (slowest)"] = f"{median:.2f} ({slowest:.2f})"
    for way in ("plain version", "every allowed epoch"):
        gains = np.subtract(right[ours], right[way])
        low, high = t_interval(gains) or (np.nan, np.nan)
        figures[f"student's accuracy without edges: ours, {way}"] = (
            f"{np.mean(right[ours]):.2f}, {np.mean(right[way]):.2f}; difference "
            f"{gains.mean():+.2f} ({low:+.2f} to {high:+.2f}), {n_seeds} seeds"
        )
    return figures


def look_up(model: ColdBrewClassifier) -> dict[str, object]:
    """Virtual neighbours of all nodes: blocked, and row by row with a full sort."""
    server, bank = model._server, model.bank_
    assert bank is not None
    x = next(server.blocks(model.scaler_.transform(model.X_)))[0]
    with torch.inference_mode():
        e_hat = server.nets["part 1"](x)
    blocked, naive = [], []
    for _ in range(5):
        started = time.perf_counter()
        index, _ = nearest_in_bank(e_hat, bank, model.n_neighbors, model.temperature)
        blocked.append(time.perf_counter() - started)
        started = time.perf_counter()
        by_row = row_by_row(e_hat, bank.values, model.n_neighbors)
        naive.append(time.perf_counter() - started)
    same = float((index.sort(1).values == by_row.sort(1).values).float().mean())
    ratio = statistics.median(naive) / statistics.median(blocked)
    epochs = int((model.history_["phase"] == "part 2").sum())
    return {
        "look-up of 2,708 nodes, blocked: ms": round(1e3 * statistics.median(blocked), 1),
        "look-up row by row: ms": round(1e3 * statistics.median(naive), 1),
        "row by row / blocked, each done once": f"{ratio:.0f}x, same neighbours {same:.2%}",
        f"row by row in each of the {epochs} epochs of part 2 / once blocked":
            f"{ratio * epochs:.0f}x",
    }  # fmt: skip


def row_by_row(e_hat: torch.Tensor, values: torch.Tensor, n_neighbors: int) -> torch.Tensor:
    """The look-up as a loop: for each row a product with the whole bank and a full sort."""
    found = []
    for row in e_hat:
        cosine = values @ row / (values.norm(dim=1) * row.norm())
        found.append(cosine.argsort(descending=True)[:n_neighbors])
    return torch.stack(found)


def one_node(data: dict, rows) -> dict[str, object]:
    """Milliseconds to answer for one new node with a loaded model, by the part that looks up."""
    with tempfile.TemporaryDirectory() as folder:
        ColdBrewClassifier(cold_part="student").fit(**data).save(f"{folder}/model")
        model = makedo.load(f"{folder}/model")
    together = model.predict_proba(rows)
    times, worst = [], 0.0
    for i in range(200):
        row = rows[i]
        started = time.perf_counter()
        alone = model.predict_proba(row)
        times.append(1e3 * (time.perf_counter() - started))
        worst = max(worst, float(np.abs(alone - together[i]).max()))
    times.sort()
    return {
        "one new node: p50 ms": round(times[100], 2),
        "one new node: p95 ms": round(times[190], 2),
        "one new node, largest difference to its row in a batch": f"{worst:.1e}",
    }


if __name__ == "__main__":
    main()
