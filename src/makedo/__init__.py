"""Make do with the data you have: published methods for learning when data falls short."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from makedo.methods import ROOMS

if TYPE_CHECKING:
    from makedo.data.graph import Graph as Graph
    from makedo.methods.cold_brew import ColdBrewClassifier as ColdBrewClassifier
    from makedo.methods.cold_brew import ColdBrewLinkPredictor as ColdBrewLinkPredictor

__version__ = "0.1.0"

# Public names are imported at first use (PEP 562): `import makedo` costs no torch, scikit-learn or
# pandas.
_HOMES = {
    name: f"makedo.methods.{room}"
    for room, record in ROOMS.items()
    for name in record["classes"].split()
} | {"Graph": "makedo.data.graph", "MakedoInputError": "makedo.core.checks"}

__all__ = ["load", *_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'makedo' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


def load(path: Any, **objects: Any) -> Any:
    """Load a model directory that any room's ``save`` wrote.

    Parameters
    ----------
    path : str or Path
        The directory.
    **objects
        Modules or callables that the model was built with and that a directory cannot hold.

    Raises
    ------
    MakedoInputError
        The directory is missing, damaged, of another room, or written by a newer makedo.
    """
    from makedo.core.persistence import load_model

    def find_class(room: str, name: str) -> type | None:
        if room not in ROOMS or name not in ROOMS[room]["classes"].split():
            return None
        return getattr(import_module(f"makedo.methods.{room}"), name)

    return load_model(path, find_class, **objects)
