import numpy as np

from makedo import NearestMean
from makedo.core.example import Example


def small_example(random_state=0):
    X = np.random.default_rng(random_state).normal(size=(66, 3)) + np.arange(66)[:, None] % 2
    return Example(NearestMean(random_state), {"X": X[:60], "y": np.arange(60) % 2}, X[60:])
