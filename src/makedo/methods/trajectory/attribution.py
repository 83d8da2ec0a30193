"""What an explanation found: values of each cue, per target and over all, with intervals.

Windows overlap and people walk in groups, so targets are not independent: every interval is over
blocks (games, scenes, or stretches of time), whose number is always given.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, count, first
from makedo.core.seeds import generator
from makedo.methods.trajectory.explaining import OTHER_TIME, PAST, RANDOM, REAL, STRANGER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEYS = ["scene", "frame", "agent"]
SHARED = ["target", *KEYS, "block"]  # columns that both tables have
METADATA = b"makedo.attribution"
MANY_BLOCKS = 20  # from here on a bootstrap; below, Student's t over blocks
N_BOOT = 2000
TOUCHED = 0.01  # metres or nats: a neighbour that brings more is counted

# What a summary can say of targets: name, and what it is in words.
QUANTITIES = {
    "past": "the target's own past",
    "interaction": "the neighbour that brings most; 0 without neighbours",
    "random": "random neighbours, mean",
    "corrected": "interaction less the largest of as many random neighbours of the same target",
    "beyond_other_time": "interaction less the largest of the neighbours of another time",
    "neighbors": "all neighbours together, against the past",
    "neighbors_random": "random neighbours together",
    "neighbors_other_time": "neighbours of another time together",
    "neighbors_beyond_random": "all neighbours together, less random ones",
    "neighbors_beyond_other_time": "all neighbours together, less those of another time",
    "with_past": "what neighbours bring only together with the past",
    "removal": "error without neighbours, less error with all",
    "error_all": "error with all cues",
    "error_past": "error without neighbours",
    "error_none": "error with no cue",
    "touched": f"share of targets with a neighbour that brings more than {TOUCHED}",
}


@dataclass(frozen=True, eq=False, repr=False)
class Attribution:
    """Values of cues.

    Attributes
    ----------
    local : DataFrame
        A row for each target, game and player: target (row of ``targets``), scene, frame, agent,
        block, game ("real", "random", "other time"), player ("past" or a neighbour's id), kind,
        distance (metres, now), phi (positive: the cue makes the prediction better), se (of sampling
        coalitions), with_past (Shapley interaction with the past).
    targets : DataFrame
        A row for each target: what predictions are worth with no cue, with the past, with the
        neighbours, with all (``error_…``), how many neighbours there were and how many were cut.
    settings : dict
        How it was made: predictor, metric, number of samples, rules, estimator, rows, unit.
    """

    local: pd.DataFrame
    targets: pd.DataFrame
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.targets)

    def __repr__(self) -> str:
        n = count(len(self.local), "value")
        return f"Attribution({count(len(self), 'target')}, {n}, {self.metric})"

    @property
    def metric(self) -> str:
        """What v is made of."""
        return str(self.settings.get("metric", "error"))

    @property
    def unit(self) -> str:
        """Of all values."""
        return str(self.settings.get("unit", "m"))

    # --- per target -------------------------------------------------------------------------------

    def scores(self) -> pd.DataFrame:
        """The quantities of each target, one column each; see ``QUANTITIES``.  NaN: not known."""
        t, n = self.targets, len(self.targets)
        real = self._of_game(REAL)
        neighbors = real[(real["player"] != PAST) & (real["player"] != STRANGER)]
        found = pd.DataFrame(index=range(n))
        found["past"] = real[real["player"] == PAST].set_index("target")["phi"]
        by_target = neighbors.groupby("target")["phi"]
        found["interaction"] = by_target.max().reindex(found.index, fill_value=0.0)
        found["sum"] = by_target.sum().reindex(found.index, fill_value=0.0)
        found["mean_abs"] = neighbors["phi"].abs().groupby(neighbors["target"]).mean()
        found["touched"] = (found["interaction"] > TOUCHED).astype(float)
        found["with_past"] = neighbors.groupby("target")["with_past"].sum(min_count=1)
        self._against(found, RANDOM, "random", "corrected")
        self._against(found, OTHER_TIME, "other_time", "beyond_other_time")
        if STRANGER in set(real["player"]):
            found["random"] = real[real["player"] == STRANGER].set_index("target")["phi"]
        found["neighbors"] = _together(t, "")
        found["removal"] = t["error_past"] - t["error_all"]
        return pd.concat([found, t[["error_all", "error_past", "error_none"]]], axis=1)

    def _against(self, found: pd.DataFrame, game: str, name: str, corrected: str) -> None:
        """What as many other neighbours bring, and what is left beyond that."""
        if f"error_all_{name}" not in self.targets:
            return
        other = self._of_game(game)
        other = other[other["player"] != PAST]
        values = other.groupby("target")["phi"]
        found[name] = values.mean()
        largest = values.max().reindex(found.index)
        has_none = self.targets["n_neighbors"] == 0
        if game == OTHER_TIME:  # at another time nobody may have been there
            largest = largest.fillna(0.0)
        else:  # too few donors would make the largest too small
            largest = largest.where(values.size().reindex(found.index) >= self._n_players())
        found[corrected] = (found["interaction"] - largest).where(~has_none, 0.0)
        found[f"neighbors_{name}"] = _together(self.targets, f"_{name}")
        found[f"neighbors_beyond_{name}"] = _together(self.targets, "") - found[f"neighbors_{name}"]

    def _n_players(self) -> pd.Series:
        """How many neighbours' values each target has."""
        real = self._of_game(REAL)
        known = real[(real["player"] != PAST) & (real["player"] != STRANGER)]
        return known.groupby("target").size().reindex(range(len(self)), fill_value=0)

    def _of_game(self, name: str) -> pd.DataFrame:
        return self.local[self.local["game"] == name]

    # --- over all ---------------------------------------------------------------------------------

    def summary(self, by: str | Sequence[str] | None = None) -> pd.DataFrame:
        """Means of all quantities with 95 % intervals over blocks.

        Parameters
        ----------
        by : str or sequence of str, optional
            Columns of ``targets``, such as "scene" or "kind", to take apart.

        Returns
        -------
        DataFrame
            (the columns of ``by``,) quantity, mean, low, high, n_targets, n_blocks, unit.
        """
        scores = self.scores()
        names = [by] if isinstance(by, str) else list(by or [])
        if unknown := [name for name in names if name not in self.targets]:
            raise MakedoInputError(
                f"summary: targets have no column {first(unknown)}. They have "
                f"{', '.join(self.targets.columns)}."
            )
        groups = [((), self.targets.index)]
        if names:
            grouped = self.targets.groupby(names, sort=True, observed=True)
            groups = [
                (key if isinstance(key, tuple) else (key,), part.index) for key, part in grouped
            ]
        lines = []
        for key, rows in groups:
            for quantity in QUANTITIES:
                if quantity not in scores or scores[quantity].isna().all():
                    continue
                values = scores.loc[rows, quantity].to_numpy(float)
                mean, low, high, n, blocks = block_mean(values, self.targets.loc[rows, "block"])
                unit = "share" if quantity == "touched" else self.unit
                lines.append((*key, quantity, mean, low, high, n, blocks, unit))
        columns = [*names, "quantity", "mean", "low", "high", "n_targets", "n_blocks", "unit"]
        return pd.DataFrame(lines, columns=columns)

    def value(self, quantity: str) -> tuple[float, float, float]:
        """Mean and 95 % interval of one quantity."""
        found = self.summary().set_index("quantity")
        if quantity not in found.index:
            raise MakedoInputError(
                f"There is no {quantity!r} here. There are {first(found.index, 20)}."
            )
        mean, low, high = found.loc[quantity, ["mean", "low", "high"]].astype(float)
        return mean, low, high

    def by_player(self, by: str = "kind") -> pd.DataFrame:
        """Mean φ of real neighbours by their kind, or by rank of distance (``by="rank"``)."""
        real = self._of_game(REAL)
        near = real[real["player"] != PAST].copy()
        near["rank"] = near.groupby("target")["distance"].rank(method="first").astype(int)
        return self._grouped(near, near[by], by)

    def by_distance(self, edges: Sequence[float] | None = None) -> pd.DataFrame:
        """Mean φ of neighbours by distance now, for real ones and for those of each null."""
        near = self.local[self.local["player"] != PAST]
        if edges is None:
            edges = np.unique(np.quantile(near["distance"], np.linspace(0, 1, 9))).tolist()
        place = pd.cut(near["distance"], list(edges), include_lowest=True)
        parts = []
        for name in (REAL, RANDOM, OTHER_TIME):
            rows = near["game"] == name
            if rows.any():
                part = self._grouped(near[rows], place[rows].map(lambda i: i.mid), "distance")
                parts.append(part.assign(game=name))
        return pd.concat(parts, ignore_index=True)

    def _grouped(self, rows: pd.DataFrame, key: pd.Series, name: str) -> pd.DataFrame:
        lines = []
        for value, part in rows.groupby(key.to_numpy(), sort=True):
            found = block_mean(part["phi"].to_numpy(), part["block"])
            lines.append((value, *found))
        columns = [name, "mean", "low", "high", "n_values", "n_blocks"]
        return pd.DataFrame(lines, columns=columns)

    def compare(self, other: Attribution) -> pd.DataFrame:
        """Subtract another explanation of the same targets, paired, with intervals over blocks.

        Raises
        ------
        MakedoInputError
            They have no target in common.
        """
        mine, theirs = (
            pd.concat([one.targets[[*KEYS, "block"]], one.scores()], axis=1)
            for one in (self, other)
        )
        both = mine.merge(theirs, on=KEYS, suffixes=("", "_other"))
        if not len(both):
            raise MakedoInputError(
                "compare: the two explanations have no target (scene, frame, agent) in common."
            )
        names = [q for q in QUANTITIES if q in mine and q in theirs]
        lines = []
        for q in names:
            gap = (both[q] - both[f"{q}_other"]).to_numpy(float)
            lines.append((q, *block_mean(gap, both["block"])))
        columns = ["quantity", "difference", "low", "high", "n_targets", "n_blocks"]
        return pd.DataFrame(lines, columns=columns)

    # --- in words ---------------------------------------------------------------------------------

    def sentences(self) -> list[str]:
        """What was measured and how, in plain words."""
        from makedo.methods.trajectory.wording import sentences

        return sentences(self)

    # --- pictures ---------------------------------------------------------------------------------

    def plot_bars(self) -> Figure:
        """Past, interaction and its controls, with intervals."""
        from makedo.methods.trajectory import pictures

        return pictures.bars({"": self})

    def plot_time(self, scene: str, agent: Any) -> Figure:
        """Values of one agent's cues over time."""
        from makedo.methods.trajectory import pictures

        return pictures.over_time(self, scene, agent)

    def plot_beeswarm(self) -> Figure:
        """Each target's values, a point each, by quantity."""
        from makedo.methods.trajectory import pictures

        return pictures.beeswarm(self)

    # --- files ------------------------------------------------------------------------------------

    def to_frame(self) -> pd.DataFrame:
        """Both tables as one: each value with what its target's predictions are worth."""
        more = self.targets.drop(columns=[*KEYS, "block", "kind"])
        more = more.assign(target_kind=self.targets["kind"])
        return self.local.merge(more, left_on="target", right_index=True, how="left")

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, settings: Mapping[str, Any] | None = None) -> Any:
        """The inverse of :meth:`to_frame`."""
        local = ["target", *KEYS, "block", "game", "player", "kind", "distance", "phi", "se"]
        if lacking := [name for name in [*local, "error_all"] if name not in frame]:
            raise MakedoInputError(
                f"This table is no explanation: it has no column {first(lacking)}. Give the file "
                "that explain wrote."
            )
        local = [*local, *(["with_past"] if "with_past" in frame else [])]
        once = frame.drop_duplicates("target").set_index("target").sort_index()
        rest = [c for c in once.columns if c not in [*local, "target_kind"]]
        kinds = once["target_kind"] if "target_kind" in once else once["kind"]
        head = once[KEYS].assign(kind=kinds, block=once["block"])
        targets = pd.concat([head, once[rest]], axis=1)
        number = pd.Series(range(len(targets)), index=targets.index)
        values = frame[local].assign(target=frame["target"].map(number)).reset_index(drop=True)
        return cls(values, targets.reset_index(drop=True), dict(settings or {}))

    def to_parquet(self, path: str | Path) -> None:
        """Write both tables and the settings as one file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        from makedo.core.persistence import replacing

        table = pa.Table.from_pandas(self.to_frame(), preserve_index=False)
        metadata = {**(table.schema.metadata or {}), METADATA: json.dumps(dict(self.settings))}
        with replacing(Path(path)) as fresh:
            pq.write_table(table.replace_schema_metadata(metadata), fresh)

    @classmethod
    def from_parquet(cls, path: str | Path) -> Attribution:
        """Read such a file, or the one that ``makedo trajectory explain`` wrote."""
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        settings = json.loads((table.schema.metadata or {}).get(METADATA, b"{}"))
        return cls.from_frame(table.to_pandas(), settings)

    @classmethod
    def concat(cls, parts: Sequence[Attribution]) -> Attribution:
        """Explanations of different targets as one: the order in which parts come does not matter
        for any mean.
        """
        local, targets, n, blocks = [], [], 0, 0
        for part in parts:
            shift = {"target": part.local["target"] + n, "block": part.local["block"] + blocks}
            local.append(part.local.assign(**shift))
            targets.append(part.targets.assign(block=part.targets["block"] + blocks))
            n += len(part)
            blocks += int(part.targets["block"].max()) + 1 if len(part) else 0
        tables = (pd.concat(found, ignore_index=True) for found in (local, targets))
        settings = dict(parts[0].settings)
        for name in ("rows", "seconds"):
            settings[name] = sum(part.settings.get(name, 0) for part in parts)
        return cls(*tables, settings)


def _together(targets: pd.DataFrame, game: str) -> pd.Series:
    """φ of all neighbours as one player against the past, unbiased by any largest."""
    alone = targets["error_none"] - targets[f"error_neighbors{game}"]
    added = targets["error_past"] - targets[f"error_all{game}"]
    return 0.5 * (alone + added)


def block_mean(values: np.ndarray, block: Any) -> tuple[float, float, float, int, int]:
    """Mean of values with a 95 % interval over blocks.

    By bootstrap of 2,000 draws from 20 blocks on; from 2 blocks by Student's t over blocks, which
    is wider; none for one block.  NaN is left out.

    Returns
    -------
    mean, low, high, number of values, number of blocks
    """
    known = ~np.isnan(values)
    values = values[known]
    if not len(values):
        return math.nan, math.nan, math.nan, 0, 0
    _, place = np.unique(np.asarray(block)[known], return_inverse=True)
    total, size = np.bincount(place, values), np.bincount(place)
    mean, B = float(values.mean()), len(size)
    low, high = math.nan, math.nan
    if B >= MANY_BLOCKS:
        rng = generator(0, "blocks")
        drawn = rng.multinomial(B, np.full(B, 1 / B), size=N_BOOT)  # (N_BOOT, B)
        low, high = np.percentile(drawn @ total / (drawn @ size), [2.5, 97.5])
    elif B >= 2:
        from scipy.special import stdtrit

        rest = total - mean * size
        half = stdtrit(B - 1, 0.975) * math.sqrt(B / (B - 1) * (rest**2).sum()) / len(values)
        low, high = mean - half, mean + half
    return mean, float(low), float(high), len(values), B
