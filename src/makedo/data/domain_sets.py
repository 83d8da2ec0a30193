"""Data sets whose rows belong to domains that a graph links: loaders for the catalogue."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError
from makedo.data.domains import DomainGraph

CARRIED = Path(__file__).parent / "carried"
NC_COLUMNS = (
    "log arrests", "log convictions", "log prison", "log sentence", "log police", "log density",
    "log tax", "log young males", "log wage construction", "log wage federal",
    "log wage manufacturing", "minority share 1980",
)  # fmt: skip
NC_REGIONS = ("east", "west", "central")


@dataclass(frozen=True)
class DomainData:
    """Rows in domains, with the graph of the domains.

    Attributes
    ----------
    name : str
    X : DataFrame of shape (n_rows, n_features)
    y : ndarray of shape (n_rows,)
    domain : ndarray of shape (n_rows,)
        Names of domains, as in ``graph``.
    graph : DomainGraph
    licence, source : str
    tasks : dict of str to list of names
        Which domains are sources, by task.
    more : dict of str to ndarray of shape (n_rows,)
    """

    name: str
    X: pd.DataFrame
    y: np.ndarray
    domain: np.ndarray
    graph: DomainGraph
    licence: str
    source: str
    tasks: dict[str, list[Any]] = field(default_factory=dict)
    more: dict[str, np.ndarray] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"DomainData({self.name!r}, {len(self.X):,} rows, {self.graph!r})"


@dataclass(frozen=True)
class DomainPanel:
    """A series for each domain, with the graph of the domains.

    Attributes
    ----------
    name : str
    values : DataFrame of shape (n_steps, n_domains)
        Columns are the names of the domains.
    graph : DomainGraph
    tasks : dict of str to list of names
        Which domains are sources, by task.
    licence, source : str
    """

    name: str
    values: pd.DataFrame
    graph: DomainGraph
    tasks: dict[str, list[str]]
    licence: str
    source: str

    def __repr__(self) -> str:
        return f"DomainPanel({self.name!r}, {len(self.values):,} steps, {self.graph!r})"


def find_carried(name: str) -> Path | None:
    """A file that comes with the package."""
    file = CARRIED / f"{name}.npz"
    return file if file.is_file() else None


def find_spiral(name: str) -> Path | None:
    """``dg15_dg60/<name>.npz`` in the folder that $MAKEDO_DATA names."""
    return _under_data("dg15_dg60", f"{name}.npz")


def find_panel(name: str) -> Path | None:
    """``<name>/splits.json`` there; the other files stand beside it."""
    return _under_data(name, "splits.json")


def _under_data(*parts: str) -> Path | None:
    folder = os.environ.get("MAKEDO_DATA")
    file = Path(folder, *parts) if folder else None
    return file if file is not None and file.is_file() else None


def load_counties(name: str, file: Path, licence: str, source: str) -> DomainData:
    """North Carolina: is the crime rate of a county and year above the panel's median?"""
    parts = _arrays(file)
    counties = np.unique(parts["county"])
    edges = parts["edges"].astype(int)
    pairs = list(zip(counties[edges[:, 0]].tolist(), counties[edges[:, 1]].tolist(), strict=True))
    X, rate = parts["X"][:, :-1], parts["X"][:, -1]
    region = np.array(NC_REGIONS)[parts["region"]]
    return DomainData(
        name,
        pd.DataFrame(X, columns=list(NC_COLUMNS)),
        np.where(rate > np.median(rate), "high", "low"),
        parts["county"].astype(int),
        DomainGraph.from_edges(pairs, names=counties.tolist()),
        licence,
        source,
        {where: counties[region == where].tolist() for where in NC_REGIONS},
        {"year": parts["year"].astype(int) + 1900, "log crime rate": rate},
    )


def load_spiral(name: str, file: Path, licence: str, source: str) -> DomainData:
    """A published spiral; its rows are sorted by class: shuffle them inside each domain."""
    parts = _arrays(file)
    return DomainData(
        name,
        pd.DataFrame(parts["X"], columns=["x", "y"]),
        parts["y"].astype(np.int64),
        parts["domain"].astype(np.int64),
        DomainGraph.from_adjacency(parts["A"], where=name),
        licence,
        source,
        {"six smallest angles": np.sort(parts["source_domains"]).tolist()},
    )


def load_panel(name: str, file: Path, licence: str, source: str) -> DomainPanel:
    """Monthly temperatures of states."""
    try:
        values = pd.read_csv(file.with_name("monthly_temperature_f.csv"), index_col="month")
        edges = pd.read_csv(file.with_name("adjacency_edges.csv"))
        splits = json.loads(file.read_text(encoding="utf-8"))
        graph = DomainGraph.from_edges(edges, names=values.columns)
        tasks = {task: list(split["source"]) for task, split in splits.items()}
        for sources in tasks.values():
            graph.positions(sources)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MakedoInputError(
            f"{file.parent}: not a panel as the catalogue keeps it ({type(error).__name__}: "
            f"{error}). Copy the folder again."
        ) from error
    return DomainPanel(name, values, graph, tasks, licence, source)


def _arrays(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise MakedoInputError(
            f"{file}: not a file as the catalogue keeps it ({type(error).__name__}: {error}). Copy "
            "it again."
        ) from error
