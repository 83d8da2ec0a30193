"""Data sets of independent samples: features, and what is to be predicted."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError


@dataclass(frozen=True)
class SampleData:
    """Samples with features and a target.

    Attributes
    ----------
    name : str
    X : ndarray of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,)
        Class numbers (int64) or numbers to predict (float64).
    test_X, test_y : ndarray or None
        The test samples of the literature; None without any.
    classes : list of str or None
        What the classes are called.
    labels : dict of ndarray, shape (n_samples,)
        Other labels of the same samples, such as those that people gave them.
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    test_X: np.ndarray | None = None
    test_y: np.ndarray | None = None
    classes: list[str] | None = None
    labels: dict[str, np.ndarray] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"SampleData({self.name!r}, {len(self.X):,} samples, {self.X.shape[1]:,} features)"


def in_sklearn(name: str) -> Path | None:
    """The folder of scikit-learn's own data; nothing is imported."""
    spec = find_spec("sklearn")
    for folder in (spec and spec.submodule_search_locations) or ():
        return Path(folder, "datasets", "data")
    return None


def load_sklearn(name: str, file: Path) -> SampleData:
    """A data set that scikit-learn brings along."""
    from sklearn import datasets

    # as_frame=False is what numbers need; diabetes comes in its own units, not standardised
    options = {"scaled": False} if name == "diabetes" else {}
    found = getattr(datasets, f"load_{name}")(**options)
    names = getattr(found, "target_names", None)
    classes = None if names is None else [str(c) for c in names]
    y = found.target.astype(np.int64 if classes else np.float64)
    return SampleData(name, found.data.astype(np.float64), y, classes=classes)


CIFAR_CLASSES = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]
# CIFAR-10N: what people said of the same pictures
HUMAN = {"aggregate": "aggre_label", "worst": "worse_label", "random1": "random_label1",
         "random2": "random_label2", "random3": "random_label3"}  # fmt: skip


def load_cifar(name: str, file: Path) -> SampleData:
    """Embeddings of 10,000 + 2,000 CIFAR-10 pictures, with the labels that people gave them.

    The embeddings are of the first 1,000 training pictures of each class, sorted by class; the
    table beside them has the first 2,500, so its rows are matched by their number in the class.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            parts = {key: archive[key] for key in archive.files}
        table = pd.read_parquet(file.with_name("train.parquet"), columns=["label", *HUMAN.values()])
        in_class = table.groupby("label").cumcount()
        there = table.loc[in_class < len(parts["train_label"]) // len(CIFAR_CLASSES)]
        y = parts["train_label"].astype(np.int64)
        if not np.array_equal(np.asarray(there["label"]), y):
            raise ValueError("the labels of the table are not those of the embeddings")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise MakedoInputError(
            f"{file}: not the embeddings as the catalogue keeps them ({type(error).__name__}: "
            f"{error}). Copy the folder again."
        ) from error
    labels = {kind: np.asarray(there[column], np.int64) for kind, column in HUMAN.items()}
    train, test = (parts[part].astype(np.float64) for part in ("train", "test"))
    return SampleData(
        name, train, y, test, parts["test_label"].astype(np.int64), CIFAR_CLASSES, labels
    )
