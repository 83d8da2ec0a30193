"""A log of users who differ in how active they are, in tables and in files."""

import numpy as np
import pandas as pd
import pytest

from makedo import cli

DAY = 86_400
START = 1_500_000_000


def bursts(seed=0, users=300, items=60, days=60):
    """Events of users of four tastes who are more or less active, and sometimes away."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        taste, rate, active = user % 4, rng.gamma(0.4, 1.2), rng.random() < 0.5
        for day in range(days):
            if rng.random() < 0.03:
                active = not active
            for _ in range(rng.poisson(rate) if active else 0):
                item = 4 * rng.integers(items // 4) + (taste if rng.random() < 0.9 else 0)
                rows.append((f"u{user}", f"i{item}", START + day * DAY + rng.integers(DAY)))
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).drop_duplicates()


@pytest.fixture(scope="session")
def table():
    return bursts()


@pytest.fixture(scope="session")
def made(tmp_path_factory, table):
    """A folder with the log, what comes before its last week, that week, and a model."""
    folder = tmp_path_factory.mktemp("rim")
    cut = START + 53 * DAY
    table.to_csv(folder / "log.csv", index=False)
    table[table["timestamp"] < cut].to_csv(folder / "before.csv", index=False)
    table[table["timestamp"] >= cut].to_parquet(folder / "later.parquet")
    fit = ["rim", "fit", "--log", folder / "before.csv", "--set", "horizon=7D"]
    fit += ["--out", folder / "model", "--quiet"]
    assert cli.main([str(one) for one in fit]) == 0
    return folder


@pytest.fixture
def files(made, tmp_path, monkeypatch):
    """That folder as the current one."""
    import shutil

    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def rim(files, capsys):
    """Run a line of rim in that folder; gives exit code, stdout, stderr."""

    def run(*arguments):
        capsys.readouterr()
        code = cli.main(["rim", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run
