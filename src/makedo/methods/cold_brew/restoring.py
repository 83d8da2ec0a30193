"""A fitted model out of its directory, and the lines of its model card."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from makedo.core.checks import Number
from makedo.core.devices import pick_device
from makedo.data.features import RowScaler
from makedo.data.graph import Graph
from makedo.data.table import TableEncoder
from makedo.methods.cold_brew.routing import PARTS
from makedo.methods.cold_brew.serving import build_networks
from makedo.methods.cold_brew.student import Bank
from makedo.methods.cold_brew.tasks import Regression, in_words

if TYPE_CHECKING:
    from makedo.methods.cold_brew.estimator import ColdBrew


OBJECTS = ("nets_", "bank_", "table_", "graph_", "scaler_")  # what is not a plain value
TEMPERATURE = Number(1e-3, 1e3)  # fitted ones lie well within


def restore(
    model: Any,
    state: dict[str, Any],
    build: Callable[[Any], dict[str, nn.Module]] = build_networks,
) -> None:
    """Build the networks, the bank and the other objects of a model that has its plain values."""
    tensors, bank, table = state["nets_"], state["bank_"], state["table_"]
    model.table_ = None if table is None else TableEncoder.from_state(table)
    model.graph_ = Graph.from_state(state["graph_"])
    model.scaler_ = RowScaler.from_state(state["scaler_"])
    device = pick_device(model.device)
    if model.n_layers > sum(map(len, tensors.values())):  # else they would be built, one by one
        raise ValueError(f"n_layers is {model.n_layers}, the weights hold fewer")
    with torch.device("meta"):  # shapes only: nothing is allocated that the file does not hold
        nets = build(model)
    model.nets_ = {name: nets[name] for name in tensors}
    for name, net in model.nets_.items():
        net.load_state_dict(tensors[name], assign=True)
        net.to(device).eval()
    model.bank_ = None
    if bank is not None:
        model.bank_ = Bank.from_state(bank, device)
        rows, values = model.bank_.rows, model.bank_.values
        if rows.dtype != torch.int64 or rows.ndim != 1 or len(rows) != len(values):
            raise ValueError("the bank has other rows than it names")
        if model.bank_.score not in ("cosine", "dot"):
            raise ValueError(f"the bank has no score {model.bank_.score!r}")
        if not 0 <= int(rows.min()) <= int(rows.max()) < model.graph_.n_nodes:
            raise ValueError("the bank names nodes that the graph does not have")


def check_restored(model: ColdBrew) -> None:
    """Raise what wrong sizes and types raise, now and not when the model is first used."""
    n, index, parts = model.graph_.n_nodes, "iu", model.part_scores_
    fits = {
        "X_": len(np.shape(model.X_)) == 2 and model.X_.shape[0] == n,
        "y_": np.shape(model.y_) == (n,) and model.y_.dtype.kind in index + "f",
        "node_id_": isinstance(model.node_id_, pd.Index) and len(model.node_id_) == n,
        "n_features_in_": Number(1, integer=True).accepts(getattr(model, "n_features_in_", None)),
        "unlinked_pool_": _is_pool(model.unlinked_pool_, parts),
        "linked_pool_": _is_pool(model.linked_pool_, parts),
        "part_scores_": isinstance(parts, dict)
        and parts.keys() <= {*PARTS, "teacher"}
        and all(isinstance(score, float) for score in parts.values()),
        "degree_threshold_": Number(0).accepts(model.degree_threshold_),
        "teacher_temperature_": TEMPERATURE.accepts(model.teacher_temperature_),
        "validation_": _is_validation(model.validation_, parts, n),
        "history_": isinstance(model.history_, pd.DataFrame),
    }
    if isinstance(model._task, Regression):
        finite = Number(open_low=True, open_high=True)
        fits["y_mean_"] = finite.accepts(model._task.mean)
        fits["y_scale_"] = finite.accepts(model._task.scale) and model._task.scale > 0
    for name in ("train_", "valid_"):
        rows = getattr(model, name)
        within = isinstance(rows, np.ndarray) and rows.ndim == 1 and rows.dtype.kind in index
        fits[name] = within and bool(((rows >= 0) & (rows < n)).all())
    if wrong := [name for name, good in fits.items() if not good]:
        raise ValueError(f"{', '.join(wrong)} cannot be as stored")
    one = model.scaler_.transform(model.X_[:1])
    for part in model.part_scores_:
        if part == "student" and model.bank_ is None:
            raise ValueError("the bank is missing")
        model._server.cold(one, part)


def _is_pool(pool: Any, parts: Any) -> bool:
    """Whether this says of known parts how much each has to say."""
    return (
        isinstance(pool, dict)
        and isinstance(parts, dict)
        and pool.keys() <= parts.keys()
        and all(isinstance(one, dict) for one in pool.values())
        and all(Number(0, 1).accepts(one.get("weight")) for one in pool.values())
        and all(TEMPERATURE.accepts(one.get("temperature")) for one in pool.values())
        and abs(sum(one["weight"] for one in pool.values()) - 1) < 1e-6
    )


def _is_validation(frame: Any, parts: Any, n_nodes: int) -> bool:
    """Whether this says of nodes of the graph what each part scored on them."""
    return (
        isinstance(frame, pd.DataFrame)
        and {"row", "degree", "edges_hidden", "served", *parts} <= set(frame.columns)
        and all(kind.kind in "iufb" for kind in frame.dtypes)
        and bool(((frame["row"] >= 0) & (frame["row"] < n_nodes)).all())
    )


def card(model: ColdBrew) -> str:
    """Say in the model card what serves which node, and which files hold rows of the user's."""
    metric = model._task.metric
    scores = ", ".join(
        f"{part} {metric.show(metric.scale * score)}" for part, score in model.part_scores_.items()
    )
    return (
        f"Predicts for nodes of a graph; learnt from {model.graph_!r}.\n\nNodes without edges are "
        f"served by {in_words(model.unlinked_pool_)} ({metric.name} on validation nodes with "
        f"hidden edges: {scores}). The teacher serves nodes of degree "
        f"{max(model.degree_threshold_, 1):g} and above.\n\n`weights.safetensors` and "
        "`tables.parquet` hold the features, edges, labels and ids of the training nodes: keep "
        "this directory as private as that data."
    )
