"""The catalogue's tracks are those of the literature, to the printed digit."""

import numpy as np
import pandas as pd
import pytest

from makedo.core.checks import MakedoInputError
from makedo.data import catalog
from makedo.data.track_sets import COURT, find_eth_ucy, find_sportvu
from makedo.data.windows import cut

# windows, ADE / FDE of constant velocity, and of standing still
WALKING = {
    "biwi_eth": (364, "1.075/2.282", "2.272/3.905"),
    "biwi_hotel": (1197, "0.319/0.614", "1.128/2.046"),
    "students001": (14295, "0.458/1.022", "1.165/2.128"),
    "students003": (10039, "0.618/1.369", "1.635/2.967"),
    "crowds_zara01": (2356, "0.427/0.952", "2.497/4.594"),
    "crowds_zara02": (5910, "0.324/0.724", "1.376/2.529"),
}
NEIGHBORS = {"biwi_eth": 14, "biwi_hotel": 8, "students001": 29, "crowds_zara02": 12}  # at most


def shown(found, future):
    each = np.linalg.norm(found - future, axis=2)
    return f"{each.mean():.3f}/{each[:, -1].mean():.3f}"


@pytest.mark.realdata
@pytest.mark.skipif(find_eth_ucy("eth_ucy") is None, reason="eth_ucy is not in $MAKEDO_DATA")
def test_walking_people_have_the_windows_and_errors_of_the_literature():
    data = catalog.load("eth_ucy")
    for scene, (n, velocity, still) in WALKING.items():
        windows = cut(data.tracks.of_scenes([scene]), radius=3.0, max_neighbors=None)
        assert len(windows) == n
        now, step = windows.past[:, -1:], windows.past[:, -1:] - windows.past[:, -2:-1]
        assert shown(now + step * np.arange(1, 13)[:, None], windows.future) == velocity
        assert shown(now, windows.future) == still
        if scene in NEIGHBORS:
            assert windows.present.sum(1).max() == NEIGHBORS[scene]
    sizes = {fold: len(cut(data.split(fold)[1])) for fold in data.folds}
    assert sizes == {"eth": 364, "hotel": 1197, "univ": 24334, "zara1": 2356, "zara2": 5910}
    assert not set(data.split("univ")[0].scenes) & set(data.split("univ")[1].scenes)


@pytest.mark.realdata
@pytest.mark.skipif(find_sportvu("nba_sportvu") is None, reason="nba_sportvu is not here")
def test_basketball_has_the_targets_and_errors_of_the_literature():
    data = catalog.load("nba_sportvu")
    train, test = data.split("games")
    assert len(set(test.groups)) == 98 and not set(test.groups) & set(train.groups)
    windows = cut(test, stride=8, targets=["team 1", "team 2"])
    assert len(windows) == 14_080 and windows.block_unit == "groups of scenes"
    each = np.linalg.norm(windows.past[:, -1:] - windows.future, axis=2)
    assert f"{each.mean():.2f}/{each[:, -1].mean():.2f}" == "2.99/4.55"
    assert windows.present.all() and windows.present.shape[1] == 10
    assert (windows.past >= 0).all() and (windows.past <= np.array(COURT) + 0.01).all()
    balls = windows.neighbor_kind == windows.kinds.index("ball")
    assert (balls.sum(1) == 1).all() and set(windows.neighbor_agent[balls]) == {-1}


def test_ships_move_like_ships():
    tracks = catalog.load("ny_harbor").tracks
    assert len(tracks) == 193_844 and tracks.n_agents == 132 and tracks.seconds_per_step == 60
    assert np.percentile(tracks.speeds(), 99) < 15  # metres per second
    assert np.abs(tracks.xy).max() < 40_000
    windows = cut(tracks, stride=60, radius=3000.0)
    assert windows.block_unit == "blocks of 2400 s"


def test_damaged_or_missing_tracks_are_said_to_be_so(tmp_path, monkeypatch):
    monkeypatch.setenv("MAKEDO_DATA", str(tmp_path))
    for name in ("eth_ucy", "nba_sportvu"):
        with pytest.raises(MakedoInputError, match="set MAKEDO_DATA to a folder that has"):
            catalog.load(name)
    (tmp_path / "nba_sportvu").mkdir()
    np.savez(tmp_path / "nba_sportvu" / "nba_score_train_0p36s.npz", xy=np.zeros(3))
    with pytest.raises(MakedoInputError, match="not tracks as the catalogue keeps them"):
        catalog.load("nba_sportvu")
    (tmp_path / "eth_ucy").mkdir()
    walk = pd.DataFrame({"frame": [0, 10], "agent": 1, "x": [0.0, 0.1], "y": 0.0})
    walk.to_csv(tmp_path / "eth_ucy" / "biwi_eth.txt.gz", sep=" ", header=False, index=False)
    with pytest.raises(MakedoInputError, match="biwi_hotel"):
        catalog.load("eth_ucy")
    monkeypatch.setattr("makedo.data.track_sets.CARRIED", tmp_path)
    with pytest.raises(MakedoInputError, match="It comes with makedo"):
        catalog.load("ny_harbor")
    np.savez(tmp_path / "ny_harbor.npz", id=np.array([1]))
    with pytest.raises(MakedoInputError, match="not tracks as the catalogue keeps them"):
        catalog.load("ny_harbor")


def test_an_unknown_fold_is_refused():
    with pytest.raises(MakedoInputError, match="ny_harbor has no fold 'eth'"):
        catalog.load("ny_harbor").split("eth")
