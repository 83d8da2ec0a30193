"""The tables' rows and the figures in them; what runs without torch."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from makedo.core.checks import MakedoInputError
from makedo.core.tables import Pair, Row
from makedo.data.tracks import Tracks
from makedo.data.windows import cut
from makedo.methods.trajectory.attribution import Attribution
from makedo.methods.trajectory.draws import seeds_of
from makedo.methods.trajectory.metrics import ade, fde, minade, minfde
from makedo.methods.trajectory.predictors import ConstantVelocity, Kalman
from makedo.methods.trajectory.reproduce import basketball, interaction, walking

TABLES = {"walking": walking, "basketball": basketball}


@pytest.mark.parametrize("table", TABLES)
def test_listing_the_rows_loads_no_data_and_pairs_name_rows(table, monkeypatch):
    monkeypatch.delenv("MAKEDO_DATA", raising=False)
    rows = TABLES[table].rows(range(3))
    names = [row.row for row in rows if isinstance(row, Row)]
    assert len(set(names)) == len(names) == len(TABLES[table].PREDICTORS)
    for pair in rows:
        if isinstance(pair, Pair):
            assert {pair.ours, pair.reference} <= set(names)
    twins = [TABLES[table].PREDICTORS[name](1).get_params() for name in names[-2:]]
    different = {key for key in twins[0] if twins[0][key] != twins[1][key]}
    assert different == {"neighbors"}  # the twin differs in nothing else


def test_rows_of_interaction_are_told_apart_without_data(monkeypatch):
    monkeypatch.delenv("MAKEDO_DATA", raising=False)
    rows = interaction.rows(range(3))
    places = [(row.table, row.row) for row in rows]
    assert len(set(places)) == len(places) == 3 * (10 + 15)
    assert {len(row.seeds) for row in rows if row.row.startswith("ridge")} == {1}
    known = {name for name, _, _ in interaction.VIEWS.values()}
    assert known <= set(walking.PREDICTORS) & set(basketball.PREDICTORS)


def test_errors_of_a_row_are_the_metrics():
    xy = np.random.default_rng(0).normal(scale=0.2, size=(60, 3, 2)).cumsum(0)
    test = cut(Tracks.from_arrays(xy, seconds_per_step=0.4))
    model = ConstantVelocity()
    found, cues = walking.judged(model, test, 7), test.cues()
    one = model.predict(cues)
    many = model.predict(cues, n_samples=20, seeds=test.seeds(7))
    assert found["ade"] == pytest.approx(ade(one, test.future).mean())
    assert found["fde"] == pytest.approx(fde(one, test.future).mean())
    assert found["minade"] == pytest.approx(minade(many, test.future).mean())
    assert found["minfde"] == pytest.approx(minfde(many, test.future).mean())
    assert found["n"] == len(test)


def test_roles_on_the_court_by_hand():
    """Two targets of team 1; the second has no team-mate and its ball is farther than others."""
    cues = [
        (0, "past", "team 1", 0.0, 5.0), (0, "b", "ball", 1.0, 1.0), (0, "x", "team 2", 3.0, 0.5),
        (0, "y", "team 2", 2.0, 0.75), (0, "z", "team 2", 9.0, 0.25), (0, "m", "team 1", 4.0, 0.1),
        (0, "random neighbor", "team 2", 0.5, 7.0), (1, "past", "team 1", 0.0, 5.0),
        (1, "x", "team 2", 1.0, -1.0), (1, "b", "ball", 2.0, 2.0),
    ]  # fmt: skip
    local = pd.DataFrame(cues, columns=["target", "player", "kind", "distance", "phi"])
    random = local.assign(game="random", phi=100.0)
    targets = pd.DataFrame({"kind": ["team 1", "team 1"]})
    found = interaction.by_role(
        Attribution(pd.concat([local.assign(game="real"), random], ignore_index=True), targets)
    )
    assert list(found) == list(interaction.ROLES)
    assert found.loc[0].tolist() == pytest.approx([1.0, 0.75, 0.375, 0.1, np.nan], nan_ok=True)
    wanted = [2.0, -1.0, np.nan, np.nan, np.nan]
    assert found.loc[1].tolist() == pytest.approx(wanted, nan_ok=True)


def test_the_share_of_the_past_has_the_interval_of_a_ratio():
    """Its mean is the ratio; its spread over blocks that of ratios of resampled blocks."""
    rng = np.random.default_rng(0)
    block = np.repeat(np.arange(60), 5)
    past = 2 + np.repeat(rng.normal(scale=0.5, size=60), 5) + rng.normal(scale=0.2, size=300)
    random = 0.02 * past + rng.normal(scale=0.05, size=300)
    scores = pd.DataFrame({"past": past, "random": random})
    each = interaction.score_of(scores, interaction.SHARE)
    mean, low, high, _, blocks = interaction.block_mean(each, block)
    assert mean == pytest.approx(100 * random.mean() / past.mean()) and blocks == 60
    drawn = rng.integers(60, size=(4000, 60))
    sums = [np.bincount(block, values)[drawn].sum(1) for values in (random, past)]
    wanted = np.percentile(100 * sums[0] / sums[1], [2.5, 97.5])
    assert [low, high] == pytest.approx(wanted, abs=0.1 * (high - low))


def test_seeds_are_one_a_row():
    assert seeds_of(None, 3).tolist() == [0, 1, 2] and seeds_of([4, 5], 2).dtype == np.uint64
    for wrong in ([1], [[1, 2, 3]], [0.5, 1.5, 2.5]):
        with pytest.raises(MakedoInputError, match="seeds must be 3 whole numbers"):
            seeds_of(wrong, 3)
    xy = np.random.default_rng(0).normal(scale=0.2, size=(40, 2, 2)).cumsum(0)
    windows = cut(Tracks.from_arrays(xy, seconds_per_step=0.4))
    with pytest.raises(MakedoInputError, match="whole numbers, one a row"):
        Kalman().fit(windows).predict(windows.cues(), n_samples=2, seeds=[1])


def test_predictors_without_a_network_need_no_torch():
    code = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch':\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "import numpy as np\n"
        "from makedo.data.tracks import Tracks\n"
        "from makedo.data.windows import cut\n"
        "from makedo.methods.trajectory.predictors import Kalman, LinearRidge\n"
        "xy = np.random.default_rng(0).normal(scale=0.2, size=(60, 3, 2)).cumsum(0)\n"
        "w = cut(Tracks.from_arrays(xy, seconds_per_step=0.4))\n"
        "for model in (Kalman(), LinearRidge(social=True)):\n"
        "    assert model.fit(w).predict(w.cues(), n_samples=5).shape == (len(w), 5, 12, 2)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
