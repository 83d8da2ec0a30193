"""A fitted model out of its directory, and the lines of its model card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from makedo.core.devices import pick_device
from makedo.data.domains import DomainGraph
from makedo.data.features import RowScaler
from makedo.data.table import TableEncoder
from makedo.methods.grda.candidates import Simple
from makedo.methods.grda.team import build_team

if TYPE_CHECKING:
    from makedo.methods.grda.estimator import GRDA


def restore(model: Any) -> None:
    """Build the objects of a model whose attributes hold their states."""
    state: Any = vars(model)
    model.graph_ = DomainGraph.from_state(state["graph_"])
    model.scaler_ = RowScaler.from_state(state["scaler_"])
    model.simple_ = Simple.from_state(state["simple_"])
    if state["table_"] is not None:
        model.table_ = TableEncoder.from_state(state["table_"])
    n = model.graph_.n_domains
    if model.domain_embedding_.shape[:1] != (n,) or model.row_counts_.shape != (n,):
        raise ValueError("the embedding is of another number of domains than the graph")
    if state["team_"] is None:
        return
    shape = tuple(int(size) for size in model.row_shape_)
    with torch.device("meta"):  # shapes only: nothing is allocated that the file does not hold
        n_models, n_z = len(model.domain_weights_), model.domain_embedding_.shape[1]
        team = build_team(model, n_models, shape, n_z, model._task)
    team.load_state_dict(state["team_"], assign=True)
    model.team_ = team.to(pick_device(model.device)).requires_grad_(False).eval()


def card(model: GRDA) -> str:
    """Say in the model card what serves, and which files hold rows of the user's."""
    return (
        f"Predicts in domains without labels; learnt along {model.graph_!r} from "
        f"{len(model.sources_)} sources. Served by: {model.served_}.\n\n`weights.safetensors` and "
        "`tables.parquet` hold the names of the domains, their graph and how many rows each had; "
        "they hold no rows."
    )
