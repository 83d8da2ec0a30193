"""The catalogue's tracks: pedestrians, basketball players, ships."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError
from makedo.data.tracks import Tracks

CARRIED = Path(__file__).parent / "carried"
ETH_UCY_FRAME = 0.04  # seconds; positions are ten frames apart
ETH_UCY_FOLDS = {  # test recordings; the other files are for training
    "eth": ("biwi_eth",),
    "hotel": ("biwi_hotel",),
    "univ": ("students001", "students003"),
    "zara1": ("crowds_zara01",),
    "zara2": ("crowds_zara02",),
}
SPORTVU = "nba_score_train_0p36s.npz"
SPORTVU_STEP = 0.36
SPORTVU_UNIT = 0.3048 / 200  # metres in 1/200 foot
COURT = (28.6512, 15.24)  # metres: 94 by 50 feet, a corner at (0, 0)
HARBOR_UNIT = 10.0


@dataclass(frozen=True)
class TrackData:
    """Tracks, and which scenes are for testing.

    Attributes
    ----------
    name : str
    tracks : Tracks
    folds : dict of str to tuple of str
        Test scenes of each fold; all other scenes are for training.
    licence, source : str
    """

    name: str
    tracks: Tracks
    licence: str
    source: str
    folds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"TrackData({self.name!r}, {self.tracks!r})"

    def split(self, fold: str) -> tuple[Tracks, Tracks]:
        """Tracks for training and for testing."""
        if fold not in self.folds:
            raise MakedoInputError(
                f"{self.name} has no fold {fold!r}. There are {', '.join(self.folds) or 'none'}."
            )
        test = set(self.folds[fold])
        return (
            self.tracks.of_scenes(lambda scene: scene not in test),
            self.tracks.of_scenes(lambda scene: scene in test),
        )


def find_eth_ucy(name: str) -> Path | None:
    """``<name>/biwi_eth.txt.gz`` in the folder that $MAKEDO_DATA names, the others beside it."""
    return _under_data(name, "biwi_eth.txt.gz")


def find_sportvu(name: str) -> Path | None:
    """The plays, in the folder that $MAKEDO_DATA names."""
    return _under_data(name, SPORTVU)


def find_harbor(name: str) -> Path | None:
    """The ships that come with the package."""
    file = CARRIED / f"{name}.npz"
    return file if file.is_file() else None


def _under_data(*parts: str) -> Path | None:
    folder = os.environ.get("MAKEDO_DATA")
    file = Path(folder, *parts) if folder else None
    return file if file is not None and file.is_file() else None


def load_eth_ucy(name: str, file: Path, licence: str, source: str) -> TrackData:
    """Eight recordings of pedestrians seen from above; the usual five folds."""
    tracks = Tracks.read(file.parent, seconds_per_frame=ETH_UCY_FRAME)
    lacking = {scene for test in ETH_UCY_FOLDS.values() for scene in test} - set(tracks.scenes)
    if lacking:
        raise _damaged(file.parent, FileNotFoundError(", ".join(sorted(lacking))))
    return TrackData(name, tracks, licence, source, ETH_UCY_FOLDS)


def load_sportvu(name: str, file: Path, licence: str, source: str) -> TrackData:
    """Scoring plays; every fifth game, in the order of their numbers, is for testing.

    A scene is a play, its group the game.  The teams are ``team 1`` and ``team 2`` in the order of
    the source, which does not say who is at home.
    """
    parts = _arrays(file)
    try:
        begin, ids = parts["scene_ptr"].astype(np.int64), parts["agent_ids"].astype(np.int64)
        n_frames, n_agents, _ = parts["xy"].shape
        play = np.repeat(np.arange(len(begin) - 1), np.diff(begin))
        names = [str(one) for one in parts["scene_names"]]
        games, game_of_play = np.unique([one.split("_")[2] for one in names], return_inverse=True)
        row, column = np.repeat(play, n_agents), np.tile(np.arange(n_agents), n_frames)
        team = np.minimum((column + 4) // 5, 2)  # column 0 is the ball
        table = pd.DataFrame(
            {
                "scene": pd.Categorical.from_codes(row, names),
                "game": pd.Categorical.from_codes(game_of_play[row], games),
                "frame": np.repeat(np.arange(n_frames) - begin[play], n_agents),
                "agent": ids[play].ravel(),
                "x": parts["xy"][..., 0].ravel(),
                "y": parts["xy"][..., 1].ravel(),
                "kind": pd.Categorical.from_codes(team, ["ball", "team 1", "team 2"]),
            }
        )
    except (KeyError, ValueError, IndexError) as error:
        raise _damaged(file, error) from error
    tracks = Tracks.read(
        table, scene="scene", kind="kind", group="game", seconds_per_frame=SPORTVU_STEP,
        unit=SPORTVU_UNIT, max_speed=None,  # a pass is faster than any runner
    )  # fmt: skip
    games = sorted(set(tracks.groups))[0::5]
    pairs = zip(tracks.scenes, tracks.groups, strict=True)
    test = tuple(scene for scene, game in pairs if game in set(games))
    return TrackData(name, tracks, licence, source, {"games": test})


def load_harbor(name: str, file: Path, licence: str, source: str) -> TrackData:
    """A week of ships, a position a minute; x points east and y north."""
    parts = _arrays(file)
    try:
        minute, x, y = (np.cumsum(parts[key].astype(np.int64)) for key in ("df", "dx", "dy"))
        ship = np.repeat(np.arange(len(parts["id"])), parts["id"])
        table = pd.DataFrame({"frame": minute, "agent": ship, "x": x, "y": y})
    except (KeyError, ValueError) as error:
        raise _damaged(file, error) from error
    tracks = Tracks.read(table, seconds_per_frame=60.0, unit=HARBOR_UNIT, max_speed=None)
    return TrackData(name, tracks, licence, source)


def _arrays(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> MakedoInputError:
    return MakedoInputError(
        f"{file}: not tracks as the catalogue keeps them ({type(error).__name__}: {error}). Copy "
        "them again."
    )
