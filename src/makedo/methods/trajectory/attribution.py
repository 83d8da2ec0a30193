"""What an explanation found: values of each cue, per target and over all, with intervals.

Windows overlap and people walk in groups, so targets are not independent: every interval is over
blocks (games, scenes, or stretches of time), whose number is always given.
"""

from __future__ import annotations

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
METADATA = "makedo trajectory"
MANY_BLOCKS = 20.0  # in effect; from here on a bootstrap, below Student's t over blocks
FEW_BLOCKS = 1.5  # below which nothing is known of how blocks differ
N_BOOT = 2000
TOUCHED = 0.01  # metres or nats: a neighbour that brings more is counted

# What a summary can say of targets: name, and what it is in words.
QUANTITIES = {
    "past": "the target's own past",
    "interaction": "the neighbour that brings most; 0 without neighbours",
    "random": "random neighbours, mean",
    "corrected": "interaction less the largest of as many random neighbours of the same target",
    "each_beyond_random": "a neighbour less a random one in its seat, mean",
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
    "touched": f"share of targets with a neighbour worth over {TOUCHED} (unit of the error)",
}
IN_SEATS = {  # the same where random neighbours take the seats of real ones, one at a time
    "random": "random neighbours in the seats of real ones, mean",
    "corrected": "interaction less the largest of random ones, each in the seat of a real one",
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
        coalitions and noise; 0 for an exact value from one draw of noise), with_past (Shapley
        interaction with the past).
    targets : DataFrame
        A row for each target: what predictions are worth with no cue, with the past, with the
        neighbours, with all (``error_…``), how many neighbours there were and how many were cut.
    settings : dict
        How it was made: predictor, metric, number of samples, rules, estimator, rows, unit.
    """

    local: Any
    targets: Any
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

    @property
    def in_seats(self) -> bool:
        """Whether random neighbours took the seats of real ones, one at a time."""
        games = self.local["game"].to_numpy()
        return RANDOM in games and f"error_all_{RANDOM}" not in self.targets

    @property
    def meanings(self) -> dict[str, str]:
        """What quantities are, in words."""
        return QUANTITIES | (IN_SEATS if self.in_seats else {})

    # --- per target -------------------------------------------------------------------------------

    def scores(self) -> pd.DataFrame:
        """The quantities of each target, one column each; see ``QUANTITIES``.  NaN: not known."""
        n = len(self)
        none = self._column("n_neighbors") == 0
        past, real = self._values(REAL, "past"), self._values(REAL, "neighbor")
        interaction = np.where(none, 0.0, real.largest(n))
        found = {
            "past": past.mean(n),
            "interaction": interaction,
            "sum": real.sum(n),
            "mean_abs": real.mean(n, np.abs),
            "touched": (interaction > TOUCHED).astype(float),
            "with_past": real.sum(n, column="with_past"),
            "neighbors": self._together(""),
            "removal": self._column("error_past") - self._column("error_all"),
        }
        for game, corrected in ((RANDOM, "corrected"), (OTHER_TIME, "beyond_other_time")):
            name, null = game.replace(" ", "_"), self._values(game, "neighbor")
            has_game = f"error_all_{name}" in self.targets  # where all neighbours are such
            if not has_game and not len(null.rows):
                continue
            largest = null.largest(n)
            if game == OTHER_TIME:  # at another time nobody may have been there
                largest = np.nan_to_num(largest)
            else:  # too few donors would make the largest too small
                largest = np.where(null.size(n) >= real.size(n), largest, np.nan)
            found[name] = null.mean(n)
            found[corrected] = np.where(none, 0.0, interaction - largest)
            if has_game:
                found[f"neighbors_{name}"] = self._together(f"_{name}")
                found[f"neighbors_beyond_{name}"] = found["neighbors"] - self._together(f"_{name}")
            else:
                gain = np.where(null.size(n) >= real.size(n), real.mean(n) - null.mean(n), np.nan)
                found["each_beyond_random"] = np.where(none, 0.0, gain)
        stranger = self._values(REAL, "stranger")
        if stranger.size(n).any():
            found["random"] = stranger.mean(n)
        errors = {name: self._column(name) for name in ("error_all", "error_past", "error_none")}
        return pd.DataFrame({**found, **errors})

    def _values(self, game: str, who: str) -> _Values:
        """φ in one game of the past, of neighbours, or of one more random neighbour."""
        player = self.local["player"].to_numpy()
        kept = {
            "past": player == PAST,
            "stranger": player == STRANGER,
            "neighbor": (player != PAST) & (player != STRANGER),
        }[who]
        kept = kept & (self.local["game"].to_numpy() == game)
        return _Values(self.local[kept])

    def _column(self, name: str) -> np.ndarray:
        return self.targets[name].to_numpy(float)

    def _together(self, game: str) -> np.ndarray:
        """φ of all neighbours as one player against the past: no largest, so no bias."""
        alone = self._column("error_none") - self._column(f"error_neighbors{game}")
        added = self._column("error_past") - self._column(f"error_all{game}")
        return 0.5 * (alone + added)

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
        names = [by] if isinstance(by, str) else list(by or [])
        if unknown := [name for name in names if name not in self.targets]:
            raise MakedoInputError(
                f"summary: targets have no column {first(unknown)}. They have "
                f"{', '.join(self.targets.columns)}."
            )
        scores: Any = self.scores()
        block = self.targets["block"].to_numpy()
        lines = []
        for key, rows in _groups(self.targets, names):
            for quantity in QUANTITIES:
                if quantity not in scores or scores[quantity].isna().all():
                    continue
                found = block_mean(scores[quantity].to_numpy(float)[rows], block[rows])
                unit = self.unit
                if quantity == "touched":
                    mean, low, high, *counts = found
                    found, unit = (mean, max(low, 0.0), min(high, 1.0), *counts), "share"
                lines.append((*key, quantity, *found, unit))
        columns = [*names, "quantity", "mean", "low", "high", "n_targets", "n_blocks", "unit"]
        return pd.DataFrame(lines, columns=columns)

    def value(self, quantity: str) -> tuple[float, float, float]:
        """Mean and 95 % interval of one quantity."""
        scores = self.scores()
        if quantity not in scores:
            raise MakedoInputError(
                f"There is no {quantity!r} here. There are {first(scores.columns, 20)}."
            )
        return block_mean(scores[quantity].to_numpy(float), self.targets["block"].to_numpy())[:3]

    def by_kind(self) -> pd.DataFrame:
        """Mean φ of real neighbours by their kind: kind, mean, low, high, n_values, n_blocks."""
        near = self._values(REAL, "neighbor")
        return _table(near.rows["kind"].to_numpy(), near, "kind")

    def by_rank(self) -> pd.DataFrame:
        """Mean φ of real neighbours by how near they are: 1 is the nearest now."""
        near = self._values(REAL, "neighbor")
        order = np.lexsort((near.rows["distance"].to_numpy(), near.target))
        begins = np.flatnonzero(np.diff(near.target[order], prepend=-1))
        sizes = np.diff(np.append(begins, len(order)))
        rank = np.empty(len(order), int)
        rank[order] = np.arange(len(order)) - np.repeat(begins, sizes) + 1
        return _table(rank, near, "rank")

    def by_distance(self, n_bins: int = 8) -> pd.DataFrame:
        """Mean φ of neighbours by their distance now, for each game; bins hold as many real ones.

        Returns
        -------
        DataFrame
            game, distance (median of the bin), mean, low, high, n_values, n_blocks.
        """
        real = self._values(REAL, "neighbor").rows["distance"].to_numpy(float)
        if not len(real):
            columns = ["game", "distance", "mean", "low", "high", "n_values", "n_blocks"]
            return pd.DataFrame(columns=columns)
        edges = np.unique(np.quantile(real, np.linspace(0, 1, n_bins + 1)))[1:-1]
        place = np.searchsorted(edges, real, side="right")
        middle = np.array([np.median(real[place == i]) for i in range(len(edges) + 1)])
        parts = []
        for game in (REAL, RANDOM, OTHER_TIME):
            near = self._values(game, "neighbor")
            at = np.searchsorted(edges, near.rows["distance"].to_numpy(float), side="right")
            part = _table(middle[at], near, "distance")
            parts.append(part.assign(game=game))
        found: Any = pd.concat([part for part in parts if len(part)], ignore_index=True)
        return found[["game", *found.columns[:-1]]]

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

    def verdict(self) -> str:
        """Whether neighbours are used, beyond chance and beyond the place, and if they harm."""
        from makedo.methods.trajectory.wording import verdict

        return verdict(self)

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
        found = self.local.merge(more, left_on="target", right_index=True, how="left")
        found.attrs[METADATA] = dict(self.settings)  # Parquet keeps it, csv does not
        return found

    @classmethod
    def from_frame(cls, frame: Any) -> Attribution:
        """The inverse of :meth:`to_frame`; a csv file has lost the settings."""
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
        return cls(values, targets.reset_index(drop=True), frame.attrs.get(METADATA, {}))

    def to_parquet(self, path: str | Path) -> None:
        """Write both tables and the settings as one file."""
        from makedo.core.persistence import replacing

        with replacing(Path(path)) as fresh:
            self.to_frame().to_parquet(fresh, index=False)

    @classmethod
    def from_parquet(cls, path: str | Path) -> Attribution:
        """Read such a file, or the one that ``makedo trajectory explain`` wrote."""
        return cls.from_frame(pd.read_parquet(path))

    @classmethod
    def concat(cls, parts: Sequence[Attribution]) -> Attribution:
        """Join explanations of different targets, such as those of shards; blocks stay apart."""
        local, targets, n, blocks = [], [], 0, 0
        for part in parts:
            shift = {"target": part.local["target"] + n, "block": part.local["block"] + blocks}
            local.append(part.local.assign(**shift))
            targets.append(part.targets.assign(block=part.targets["block"] + blocks))
            n += len(part)
            blocks += int(part.targets["block"].max()) + 1 if len(part) else 0
        settings = dict(parts[0].settings)
        for name in ("rows", "seconds"):
            settings[name] = sum(part.settings.get(name, 0) for part in parts)
        values, worth = (pd.concat(found, ignore_index=True) for found in (local, targets))
        return cls(values, worth, settings)


@dataclass(frozen=True)
class _Values:
    """Rows of ``local``, added up by target."""

    rows: Any

    @property
    def target(self) -> np.ndarray:
        return self.rows["target"].to_numpy(int)

    def size(self, n: int) -> np.ndarray:
        return np.bincount(self.target, minlength=n)

    def sum(self, n: int, act: Any = None, column: str = "phi") -> np.ndarray:
        if column not in self.rows:
            return np.full(n, np.nan)
        values = self.rows[column].to_numpy(float)
        return np.bincount(self.target, values if act is None else act(values), minlength=n)

    def mean(self, n: int, act: Any = None) -> np.ndarray:
        size = self.size(n)
        return np.where(size > 0, self.sum(n, act) / np.maximum(size, 1), np.nan)

    def largest(self, n: int) -> np.ndarray:
        found = np.full(n, -np.inf)
        np.maximum.at(found, self.target, self.rows["phi"].to_numpy(float))
        return np.where(np.isfinite(found), found, np.nan)


def _table(key: np.ndarray, near: _Values, name: str) -> pd.DataFrame:
    """Mean φ of rows with the same key."""
    phi, block = near.rows["phi"].to_numpy(float), near.rows["block"].to_numpy()
    lines = [(k, *block_mean(phi[key == k], block[key == k])) for k in pd.unique(np.sort(key))]
    return pd.DataFrame(lines, columns=[name, "mean", "low", "high", "n_values", "n_blocks"])


def _groups(targets: Any, names: list[str]) -> list[tuple[tuple[Any, ...], np.ndarray]]:
    """Keys of groups and their rows; without names all rows."""
    if not names:
        return [((), np.arange(len(targets)))]
    found = targets.groupby(names, sort=True).indices
    return [(key if isinstance(key, tuple) else (key,), rows) for key, rows in found.items()]


def block_mean(values: np.ndarray, block: Any) -> tuple[float, float, float, int, int]:
    r"""Mean of values with a 95 % interval over blocks.

    With n_b of the n values in block b, the blocks are worth :math:`B = n^2 / \sum_b n_b^2` blocks
    of one size (Kish's effective number).  From B = 20 on a bootstrap of 2,000 draws; below,
    Student's t with B - 1 degrees of freedom, where what is left of a block's sum is divided by
    :math:`\sqrt{1 - n_b / n}`, since a large block pulls the mean to itself; none below B = 1.5.
    NaN is left out.

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
    mean, share = float(values.mean()), size / len(values)
    B = 1 / (share**2).sum()
    low, high = math.nan, math.nan
    if B >= MANY_BLOCKS:
        rng, n_blocks = generator(0, "blocks"), len(size)
        drawn = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=N_BOOT)
        low, high = np.percentile(drawn @ total / (drawn @ size), [2.5, 97.5])
    elif B >= FEW_BLOCKS:
        from scipy.special import stdtrit

        rest = (total - mean * size) / np.sqrt(1 - share)
        half = stdtrit(B - 1, 0.975) * math.sqrt((rest**2).sum()) / len(values)
        low, high = mean - half, mean + half
    return mean, float(low), float(high), len(values), len(size)
