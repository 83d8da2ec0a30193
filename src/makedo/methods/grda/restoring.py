"""A fitted model out of its directory, and the lines of its model card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from makedo.core.devices import pick_device
from makedo.data.domains import DomainGraph
from makedo.data.features import RowScaler
from makedo.data.table import TableEncoder
from makedo.methods.grda.linear import HopByHop, Linear
from makedo.methods.grda.team import build_team

if TYPE_CHECKING:
    from makedo.methods.grda.estimator import GRDA

OBJECTS = ("graph_", "scaler_", "table_", "base_", "hops_", "team_")  # what is not a plain value


def restore(model: GRDA, state: dict[str, Any]) -> None:
    """Build the objects of a model that has its plain values."""
    table, tensors = state["table_"], state["team_"]
    model.table_ = None if table is None else TableEncoder.from_state(table)
    model.graph_ = DomainGraph.from_state(state["graph_"])
    model.scaler_ = RowScaler.from_state(state["scaler_"])
    model.base_ = Linear(**state["base_"])
    model.hops_ = HopByHop.from_state(state["hops_"])
    n = model.graph_.n_domains
    if model.domain_embedding_.shape[:1] != (n,) or model.row_counts_.shape != (n,):
        raise ValueError("the embedding is of another number of domains than the graph")
    model.team_ = None
    if tensors is not None:
        n_features = model.n_features_in_ - (model.domain_column_ is not None)
        if model.table_ is not None:
            n_features = len(model.scaler_.mean)  # pyright: ignore[reportArgumentType]
        with torch.device("meta"):  # shapes only: nothing is allocated that the file does not hold
            team = build_team(
                model,
                len(model.domain_weights_),
                (n_features,),
                model.domain_embedding_.shape[1],
                model._task,
            )
        team.load_state_dict(tensors, assign=True)
        model.team_ = team.to(pick_device(model.device)).requires_grad_(False).eval()


def card(model: GRDA) -> str:
    """Say in the model card what serves, and which files hold rows of the user's."""
    return (
        f"Predicts in domains without labels; learnt along {model.graph_!r} from "
        f"{len(model.sources_)} sources. Served by: {model.served_}.\n\n`weights.safetensors` and "
        "`tables.parquet` hold the names of the domains, their graph and how many rows each had; "
        "they hold no rows."
    )
