"""One small problem per record of ROOMS; every test of this folder runs on each."""

from __future__ import annotations

import importlib

import pytest
from sklearn.base import clone

from makedo.methods import ROOMS


def pytest_generate_tests(metafunc):
    if "room" in metafunc.fixturenames:
        metafunc.parametrize("room", ROOMS, scope="session")


@pytest.fixture
def example(room):
    """A fresh small problem of the room: unfitted estimator, arguments of fit, new rows."""
    return importlib.import_module(f"makedo.methods.{room}.example").small_example(0)


@pytest.fixture(scope="session")
def fitted_models():
    """Models that were fitted once in this session, by room."""
    return {}


@pytest.fixture
def model(room, example, fitted_models):
    """The estimator of the small problem, fitted; tests must not change it."""
    if room not in fitted_models:
        fitted_models[room] = clone(example.estimator).fit(**example.fit)
    return fitted_models[room]
