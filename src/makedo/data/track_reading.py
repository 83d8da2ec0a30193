"""Positions from any table or file, as arrays in the order of the source.

Nothing is repaired but the kind of number; what is refused has no position, no frame or no agent.
"""

from __future__ import annotations

import glob
import gzip
import json
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from makedo.core.checks import MakedoInputError, count, first
from makedo.data.files import read_table, suffixes_readable
from makedo.data.table import as_frame
from makedo.data.times import recipe

TEXT, TRAJNET = (".txt", ".txt.gz"), (".ndjson", ".ndjson.gz")
READABLE = (*TEXT, *TRAJNET, *suffixes_readable)
OWN_NAMES = ("scene", "kind")  # roles whose columns are found by name where nobody named them
ONE_KIND = "agent"  # of agents whose kind nobody told


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table of positions; upper and lower case are alike."""

    scene: str | None
    frame: str
    agent: str
    x: str
    y: str
    kind: str | None
    group: str | None

    def find(self, frame: pd.DataFrame, role: str, where: str) -> pd.Series | None:
        """The column of a role; where nobody named one, that of the role's own name, or None."""
        named = getattr(self, role)
        wanted = named or role
        if named is None and role not in OWN_NAMES:
            return None
        if wanted in frame:
            return pd.Series(frame[wanted])
        alike = [name for name in frame if str(name).lower() == wanted.lower()]
        if named is None and not alike:
            return None
        if len(alike) != 1:
            raise MakedoInputError(
                f"{where}: no column {wanted!r} for {role}. There are {first(frame.columns, 12)}. "
                f"Name the right one with {role}= (on the command line --columns {role}=NAME)."
            )
        return pd.Series(frame[alike[0]])


@dataclass(frozen=True)
class Rows:
    """Positions in any order, with names of scenes, groups and kinds apart."""

    where: str  # what messages call the source
    scenes: tuple[str, ...]
    groups: tuple[str, ...]
    kinds: tuple[str, ...]
    scene: np.ndarray  # (n,) int32
    agent: np.ndarray  # (n,) int64 or object
    agent_code: np.ndarray  # (n,) int64, in the order of the ids
    frame: np.ndarray  # (n,) float64
    xy: np.ndarray  # (n, 2) float64, in the caller's unit
    kind: np.ndarray  # (n,) int32
    seconds_per_frame: float | None = None  # where the source says it

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, order: np.ndarray) -> Rows:
        """The rows in another order."""
        names = ("scene", "agent", "agent_code", "frame", "xy", "kind")
        return replace(self, **{name: getattr(self, name)[order] for name in names})

    def check_numbers(self) -> None:
        """Refuse rows without a time or a place."""
        if not len(self):
            raise MakedoInputError(f"{self.where}: there are no rows. Give at least one position.")
        for name, values in (("frame", self.frame), ("x", self.xy[:, 0]), ("y", self.xy[:, 1])):
            bad = ~np.isfinite(values)
            if bad.any():
                raise MakedoInputError(
                    f"{self.where}: {name} is missing or infinite in {count(int(bad.sum()), 'row')}"
                    f" of {len(bad):,} (first: row {int(bad.argmax()):,}). Drop those rows: an "
                    "agent without a position is not there at that time."
                )

    @classmethod
    def from_frame(
        cls, table: pd.DataFrame, columns: Columns, where: str, scene: str | None = None
    ) -> Rows:
        """The rows of a table; ``scene`` is its name where no column tells scenes apart."""
        found = {role: columns.find(table, role, where) for role in vars(columns)}
        n = len(table)
        scenes, names = _codes(found["scene"], n, scene or "scene", "scene", where)
        groups = _group_of(found["group"], scenes, names, where)
        kinds, kind_names = _codes(found["kind"], n, ONE_KIND, "kind", where)
        agent = _ids(found["agent"], where)
        time, seconds = _frames(found["frame"], where)
        xy = np.column_stack([_numbers(found[axis], axis, where) for axis in ("x", "y")])
        return cls(
            where, names, groups, kind_names, scenes, agent, _order_of(agent), time,
            xy.reshape(n, 2), kinds, seconds,
        )  # fmt: skip

    @classmethod
    def from_arrays(
        cls, xy: np.ndarray, agent: Sequence[Any] | None, kind: Sequence[str] | None, scene: str
    ) -> Rows:
        """The positions that are not NaN in an array (n_steps, n_agents, 2)."""
        if xy.ndim != 3 or xy.shape[2] != 2:
            raise MakedoInputError(
                f"xy must have the shape (n_steps, n_agents, 2). Got {xy.shape}."
            )
        n_steps, n_agents, _ = xy.shape
        for name, given in (("agent", agent), ("kind", kind)):
            if given is not None and len(given) != n_agents:
                raise MakedoInputError(
                    f"{name} must name each of the {n_agents:,} agents of xy. Got {len(given):,}."
                )
        there = ~np.isnan(xy).all(2)
        step, who = np.nonzero(there)
        table = pd.DataFrame({"frame": step, "x": xy[there][:, 0], "y": xy[there][:, 1]})
        table["agent"] = np.asarray(range(n_agents) if agent is None else agent)[who]
        table["kind"] = np.asarray(kind)[who] if kind is not None else ONE_KIND
        columns = Columns(None, "frame", "agent", "x", "y", "kind", None)
        return cls.from_frame(table, columns, scene, scene)

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """The rows of several sources; a scene that two of them have is one."""
        if len(parts) == 1:
            return parts[0]
        scenes = tuple(dict.fromkeys(name for part in parts for name in part.scenes))
        kinds = tuple(sorted({name for part in parts for name in part.kinds}))
        groups = {s: g for part in parts for s, g in zip(part.scenes, part.groups, strict=True)}
        where = f"{parts[0].where} and {count(len(parts) - 1, 'more file')}"
        ids = {part.agent.dtype.kind for part in parts}
        agent = np.concatenate([part.agent for part in parts])
        if len(ids) > 1:
            agent = np.array([str(one) for one in agent], object)
        seconds = {part.seconds_per_frame for part in parts}
        if len(seconds) > 1:
            raise MakedoInputError(
                f"{where}: the files have different frame rates. Read each alone, or bring them to "
                "one rate."
            )
        return cls(
            where,
            scenes,
            tuple(groups[name] for name in scenes),
            kinds,
            np.concatenate([_renumbered(p.scene, p.scenes, scenes) for p in parts]),
            agent,
            _order_of(agent),
            np.concatenate([part.frame for part in parts]),
            np.concatenate([part.xy for part in parts]),
            np.concatenate([_renumbered(p.kind, p.kinds, kinds) for p in parts]),
            seconds.pop(),
        )


def read_rows(source: Any, columns: Columns) -> Rows:
    """The rows of a table, a file, a folder or pattern of files, or a list of files."""
    if isinstance(source, (str, Path)):
        paths = list(_paths(source))
    elif isinstance(source, (list, tuple)) and source:
        paths = [Path(path) for path in source]
    else:
        return Rows.from_frame(as_frame(source, "the tracks"), columns, "the tracks")
    named = zip(paths, _scene_names(paths), strict=True)
    return Rows.joined([_file_rows(path, columns, scene) for path, scene in named])


# --- files ----------------------------------------------------------------------------------------


def _paths(source: str | Path) -> Iterator[Path]:
    path = Path(source)
    if path.is_dir():
        found = [p for p in sorted(path.iterdir()) if p.name.lower().endswith(READABLE)]
    elif glob.has_magic(str(source)) and not path.exists():
        found = [Path(name) for name in sorted(glob.glob(str(source), recursive=True))]
    else:
        found = [path]
    if not found:
        inner = path.is_dir() and any(one.is_dir() for one in path.iterdir())
        raise MakedoInputError(
            f"{source}: no file with tracks there. Accepted: {', '.join(READABLE)}."
            + f" Folders in it are not looked into: say '{path}/*/*.txt', for example." * inner
        )
    yield from found


def _scene_names(paths: Sequence[Path]) -> list[str]:
    """What the scene of each file is called: as short as tells the files apart."""
    names = [path.name.split(".")[0] for path in paths]
    if len(set(names)) == len(names):
        return names
    whole = [Path(re.sub(_SUFFIX, "", str(p.absolute()), flags=re.IGNORECASE)) for p in paths]
    names = [path.name for path in whole]
    if len(set(names)) == len(names):
        return names
    shared = os.path.commonpath([path.parent for path in whole])
    return [path.relative_to(shared).as_posix() for path in whole]


_SUFFIX = f"({'|'.join(re.escape(one) for one in sorted(READABLE, key=len, reverse=True))})$"


def _file_rows(path: Path, columns: Columns, scene: str) -> Rows:
    name, lower = path.name, path.name.lower()
    if lower.endswith((*TEXT, *TRAJNET)) and not path.is_file():
        raise MakedoInputError(f"{path}: there is no such file.")
    plain = Columns(None, "frame", "agent", "x", "y", None, None)  # what these files hold
    try:
        if lower.endswith(TEXT):
            return Rows.from_frame(_read_text(path), plain, name, scene)
        if lower.endswith(TRAJNET):
            table, seconds = _read_trajnet(path)
            return replace(Rows.from_frame(table, plain, name, scene), seconds_per_frame=seconds)
        if lower.endswith(".npz") and (table := _read_arrays(path)) is not None:
            kind = "kind" if "kind" in table else None
            return Rows.from_frame(table, replace(plain, kind=kind), name, scene)
    except (OSError, EOFError, UnicodeDecodeError, zipfile.BadZipFile) as error:
        raise MakedoInputError(
            f"{name}: is cut short or damaged ({type(error).__name__}). Copy it again."
        ) from error
    return Rows.from_frame(read_table(path), columns, name, scene)


def _read_text(path: Path) -> pd.DataFrame:
    """Lines of ``frame agent x y``, as ETH and UCY were published."""
    try:
        table = pd.read_csv(path, sep=r"\s+", header=None, comment="#")
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise MakedoInputError(f"{path.name}: {_TEXT_FORM} ({error}).") from error
    numbers = [types.is_numeric_dtype(table[column]) for column in table]
    if table.shape[1] != 4 or not all(numbers):
        raise MakedoInputError(
            f"{path.name}: {_TEXT_FORM}. Got {count(table.shape[1], 'value')} in the first line: "
            f"{first(table.iloc[0], 9)}."
        )
    return table.set_axis(["frame", "agent", "x", "y"], axis=1)


_TEXT_FORM = (
    "each line must be four numbers, frame agent x y, without a header; a table of other columns "
    "needs a header and the ending .csv or .tsv"
)


def _read_trajnet(path: Path) -> tuple[pd.DataFrame, float | None]:
    """Tracks of TrajNet++; its scenes only name who is to be predicted when, and the rate."""
    rows, rates = [], set()
    opener: Any = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                if "track" in record:
                    rows.append([record["track"][key] for key in ("f", "p", "x", "y")])
                elif record["scene"].get("fps"):
                    rates.add(float(record["scene"]["fps"]))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise MakedoInputError(
                    f'{path.name}: line {number:,} is not of TrajNet++: {{"track": {{"f", "p", '
                    '"x", "y"}} or {"scene": {"id", "p", "s", "e", "fps"}} are.'
                ) from error
    if len(rates) > 1:
        raise MakedoInputError(f"{path.name}: scenes of different fps ({first(sorted(rates))}).")
    table = pd.DataFrame(rows, columns=["frame", "agent", "x", "y"])
    times = np.unique(table["frame"].to_numpy(np.float64))
    if not rates or len(times) < 2:
        return table, None
    step = pd.Series(np.diff(times)).mode().iloc[0]  # fps counts positions, not frames
    return table, 1 / (rates.pop() * step)


def _read_arrays(path: Path) -> pd.DataFrame | None:
    """Positions of an npz with ``xy`` (n_steps, n_agents, 2); None where it has no such array."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if "xy" not in archive.files or archive["xy"].ndim != 3:
                return None
            parts = {key: archive[key] for key in archive.files if key in ("xy", "agent", "kind")}
    except ValueError as error:  # what numpy says of a file that is no archive, and of objects
        raise MakedoInputError(
            f"{path.name}: not an npz of plain arrays. Copy it again, or save it with np.savez."
        ) from error
    rows = Rows.from_arrays(
        parts["xy"].astype(np.float64), parts.get("agent"), parts.get("kind"), path.name
    )
    table = {"frame": rows.frame, "agent": rows.agent, "x": rows.xy[:, 0], "y": rows.xy[:, 1]}
    return pd.DataFrame(table | {"kind": np.array(rows.kinds, object)[rows.kind]})


# --- columns --------------------------------------------------------------------------------------


def _numbers(column: pd.Series | None, role: str, where: str) -> np.ndarray:
    assert column is not None
    if not types.is_numeric_dtype(column.dtype) or types.is_bool_dtype(column.dtype):
        read: Any = pd.to_numeric(column, errors="coerce")
        bad: Any = read.isna() & column.notna()
        bad = bad if bad.any() else column.notna()  # numbers as text, or truth values
        raise MakedoInputError(
            f"{where}: column {column.name!r} for {role} is not of numbers in "
            f"{count(int(bad.sum()), 'row')} of {len(bad):,} (first: {first(column[bad])}). Mend "
            "or drop those rows."
        )
    return column.to_numpy(np.float64, na_value=np.nan)


def _frames(column: pd.Series | None, where: str) -> tuple[np.ndarray, float | None]:
    """Frames as numbers; dates and ISO text as Unix seconds, whose frame lasts a second."""
    assert column is not None
    if types.is_numeric_dtype(column.dtype):
        return _numbers(column, "frame", where), None
    try:
        stamps: Any = pd.to_datetime(column, utc=True, format="ISO8601")
    except (ValueError, TypeError, OverflowError) as error:
        raise MakedoInputError(
            f"{where}: column {column.name!r} for frame holds neither numbers nor times (first: "
            f"{first(column)}). Accepted: numbers of frames or seconds, dates, and text such as "
            f"2017-11-30T12:00:00Z.{recipe(column)}"
        ) from error
    stamps = stamps.dt.tz_localize(None).astype("datetime64[us]")
    seconds = stamps.astype(np.int64).to_numpy() / 1e6
    return np.where(stamps.isna(), np.nan, seconds), 1.0


def _ids(column: pd.Series | None, where: str) -> np.ndarray:
    """Ids as whole numbers where all are, else as text."""
    assert column is not None
    missing = column.isna().to_numpy()
    if missing.any():
        raise MakedoInputError(
            f"{where}: {count(int(missing.sum()), 'row')} of {len(missing):,} without an agent "
            f"(first: row {int(missing.argmax()):,}). Drop those rows, or name the agents."
        )
    if types.is_numeric_dtype(column.dtype):
        values = column.to_numpy(np.float64)
        if (values == np.floor(values)).all():
            return column.to_numpy().astype(np.int64)
    return column.astype(str).to_numpy(object)


def _order_of(agent: np.ndarray) -> np.ndarray:
    """Codes (n,) int64 in the order of the ids."""
    return pd.factorize(agent, sort=True)[0].astype(np.int64)


def _codes(
    column: pd.Series | None, n: int, default: str, role: str, where: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes (n,) int32 and what they stand for, as text in order; all are ``default`` without."""
    if column is None:
        return np.zeros(n, np.int32), (default,)
    if bool(column.isna().any()):
        raise MakedoInputError(f"{where}: column {column.name!r} for {role} has missing values.")
    codes, names = pd.factorize(column, sort=True)
    return codes.astype(np.int32), tuple(str(name) for name in names)


def _group_of(
    column: pd.Series | None, scene: np.ndarray, scenes: tuple[str, ...], where: str
) -> tuple[str, ...]:
    """The group of each scene; itself where nobody named groups."""
    if column is None:
        return scenes
    group, names = _codes(column, len(column), "", "group", where)
    pairs = pd.DataFrame({"scene": scene, "group": group}).drop_duplicates()
    if len(pairs) != len(scenes):
        split = int(np.argmax(np.bincount(pairs["scene"].to_numpy())))
        raise MakedoInputError(
            f"{where}: scene {scenes[split]!r} lies in two groups of "
            f"{column.name!r}. A scene is part of one."
        )
    return tuple(names[code] for code in pairs.sort_values("scene")["group"])


def _renumbered(codes: np.ndarray, old: tuple[str, ...], new: tuple[str, ...]) -> np.ndarray:
    """Codes of the names ``old`` as codes of the names ``new``."""
    return pd.Index(new).get_indexer(pd.Index(old)).astype(np.int32)[codes]
