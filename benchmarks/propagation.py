"""One graph convolution, forward and backward: ours beside PyG's and the naive form, in one run.

The layer is Y = A X W + b with A normalised, d -> d.  PyG's ``GCNConv`` normalises ``edge_index``
at every call, as it does when used the usual way; "PyG, torch CSR" is the same layer fed a
normalised CSR tensor that is kept, its fast path.  "gather + index_add_" is message passing by
hand.  All give the same output and gradients, which is checked before anything is timed.  One
thread by default: on a machine that is not idle, two threads wait for each other and products this
small then measure the scheduler.

    python benchmarks/propagation.py [--nodes 20000 --edges 400000 --width 64 --threads N]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch

from makedo.data.graph import Graph
from makedo.nn.propagation import Propagation, SparseFeatures, sparse_linear

Step = Callable[[], list[torch.Tensor]]


def random_graph(n_nodes: int, n_directed: int) -> Graph:
    """Exactly ``n_directed / 2`` undirected edges, uniformly at random."""
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, n_nodes, (n_directed, 2))
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    keep = rng.permutation(len(pairs))[: n_directed // 2]
    return Graph.from_edges(pairs[keep].T, n_nodes=n_nodes)


def gcn_layers(n_nodes: int, n_directed: int, width: int) -> dict[str, Step]:
    """Each layer as a function that does one forward and backward and returns output and grads."""
    from torch_geometric.nn import GCNConv

    graph = random_graph(n_nodes, n_directed)
    matrix = graph.normalized()
    x = torch.randn(n_nodes, width, requires_grad=True)
    seed = torch.randn(n_nodes, width)
    weight = torch.nn.Parameter(torch.randn(width, width) / width**0.5)
    bias = torch.nn.Parameter(torch.zeros(width))
    lower = torch.from_numpy(graph.edges().T)
    edge_index = torch.cat([lower, lower.flip(0)], dim=1)

    def step(layer: Callable[[], torch.Tensor], *parameters: torch.Tensor) -> Step:
        def run() -> list[torch.Tensor]:
            for parameter in parameters:
                parameter.grad = None
            output = layer()
            output.backward(seed)
            return [output.detach(), *(p.grad for p in parameters if p.grad is not None)]

        return run

    def pyg_layer(adjacency: torch.Tensor, normalize: bool) -> Step:
        conv = GCNConv(width, width, normalize=normalize)
        conv.lin.weight.data = weight.data.T.contiguous()
        run = step(lambda: conv(x, adjacency), x, conv.bias, conv.lin.weight)
        return lambda: [t.T if i == 3 else t for i, t in enumerate(run())]  # W is kept as (out, in)

    propagation = Propagation(matrix)
    entries = matrix.tocoo()
    source, target, share = (
        torch.from_numpy(np.asarray(part)) for part in (entries.col, entries.row, entries.data)
    )
    source, target = source.long(), target.long()

    def gather_scatter() -> torch.Tensor:
        messages = (x @ weight)[source] * share[:, None]
        return torch.zeros(n_nodes, width).index_add_(0, target, messages) + bias

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its CSR tensors a beta
        csr = torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data),
            matrix.shape,
        )
    return {
        "makedo Propagation": step(lambda: propagation(x @ weight) + bias, x, bias, weight),
        "PyG GCNConv as it comes": pyg_layer(edge_index, True),
        "gather + index_add_": step(gather_scatter, x, bias, weight),
        "PyG GCNConv, torch CSR": pyg_layer(csr, False),
    }


def first_layers(shape: tuple[int, int], n_stored: int, width: int) -> dict[str, Step]:
    """X W and the gradient of W for a bag of words the size of Cora's, dropout 0.5 on X."""
    n_rows, n_words = shape
    rng = np.random.default_rng(0)
    cells = rng.choice(n_rows * n_words, n_stored, replace=False)
    rows, words = np.divmod(cells, n_words)
    matrix = sp.csr_matrix((np.ones(n_stored, np.float32), (rows, words)), shape)
    features, transposed = SparseFeatures(matrix), sp.csr_matrix(matrix.T)
    dense = torch.from_numpy(matrix.toarray())
    weight = torch.nn.Parameter(torch.randn(n_words, width))
    seed = torch.randn(n_rows, width)
    table, grad = weight.detach().numpy(), seed.numpy()

    def ours(values: Callable[[], torch.Tensor | None]) -> Step:
        def run() -> list[torch.Tensor]:
            weight.grad = None
            output = sparse_linear(features, weight, values())
            output.backward(seed)
            assert weight.grad is not None
            return [output.detach(), weight.grad]

        return run

    def dense_linear() -> list[torch.Tensor]:
        weight.grad = None
        output = dense @ weight
        output.backward(seed)
        assert weight.grad is not None
        return [output.detach(), weight.grad]

    def scipy_product() -> list[torch.Tensor]:
        return [torch.from_numpy(matrix @ table), torch.from_numpy(transposed @ grad)]

    return {
        "makedo sparse_linear": ours(lambda: None),
        "scipy CSR, no autograd": scipy_product,
        "dense X": dense_linear,
        "makedo sparse_linear + dropout": ours(lambda: features.dropout(0.5)),
    }


def extra_memory(step: Step) -> float | None:
    """Most memory that a step needs beyond what the warm process holds, in MB; on Linux only."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        return None

    def kilobytes(name: str) -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith(name))
        return int(line.split()[1])

    reset.write_text("5")  # sets the peak to what is in use now
    before = kilobytes("VmRSS:")
    step()
    return max(0, kilobytes("VmHWM:") - before) / 1024


def measure(title: str, steps: dict[str, Step], repeats: int, unchecked: str = "") -> dict:
    """Check that all agree with the first, then time them in turns; seconds are medians."""
    names = list(steps)
    reference = steps[names[0]]()
    rows = []
    for name in names:
        steps[name]()  # warm-up
        error = max(
            float((ours - theirs).abs().max() / ours.abs().max())
            for ours, theirs in zip(reference, steps[name](), strict=True)
        )
        if name != unchecked:
            assert error < 1e-5, f"{name} differs from {names[0]} by {error:.1e}"
        error = None if name == unchecked else error
        memory = extra_memory(steps[name])
        rows.append({"name": name, "error": error, "memory_mb": memory, "seconds": []})
    for _ in range(repeats):
        for row in rows:
            start = time.perf_counter()
            steps[row["name"]]()
            row["seconds"].append(time.perf_counter() - start)
    print(f"\n{title}, {torch.get_num_threads()} thread(s), median of {repeats}")
    print(f"{'':34}{'ms':>9}{'slower by':>11}{'extra MB':>10}{'largest difference':>20}")
    fastest = statistics.median(rows[0]["seconds"])
    for row in rows:
        row["seconds"] = statistics.median(row["seconds"])
        row["ratio"] = row["seconds"] / fastest
        error = "" if row["error"] is None else f"{row['error']:.0e}"
        memory = "" if row["memory_mb"] is None else f"{row['memory_mb']:.0f}"
        print(
            f"{row['name']:34}{row['seconds'] * 1e3:9.2f}{row['ratio']:10.1f}x"
            f"{memory:>10}{error:>20}"
        )
    return {"title": title, "threads": torch.get_num_threads(), "repeats": repeats, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=20_000)
    parser.add_argument(
        "--edges", type=int, default=400_000, help="directed, self loops not counted"
    )
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    results = [
        measure(
            f"graph convolution, {arguments.nodes:,} nodes, {arguments.edges:,} directed edges, "
            f"d = {arguments.width}",
            gcn_layers(arguments.nodes, arguments.edges, arguments.width),
            arguments.repeats,
        )
    ]
    for width in (64, 256):
        results.append(
            measure(
                f"bag of words 2,708 x 1,433 with 49,216 entries times weight, d = {width}",
                first_layers((2708, 1433), 49_216, width),
                arguments.repeats,
                unchecked="makedo sparse_linear + dropout",
            )
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
