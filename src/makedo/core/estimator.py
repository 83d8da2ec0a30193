"""The contract of every estimator of the house: scikit-learn's, and a model directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import Constraint, MakedoInputError, check_parameters
from makedo.core.persistence import load_model, save_model


class Estimator(BaseEstimator):
    """Base of the estimators: declared parameter checks, ``save`` and ``load``.

    A subclass stores its constructor's arguments and nothing else, declares what it accepts in
    ``_constraints``, calls ``_check_parameters`` in ``fit``, and puts what it learns into
    attributes that end in ``_``.  Where those are not all plain values, arrays, frames or objects
    with ``to_state``, it overrides :meth:`_restore`.
    """

    _constraints: ClassVar[Mapping[str, Constraint]] = {}
    _parts: ClassVar[Mapping[str, type]] = {}  # estimators that a parameter may hold, by name

    @property
    def room(self) -> str:
        """The method this class belongs to, as it is called in ROOMS."""
        return _room_of(type(self))

    def _check_parameters(self) -> None:
        check_parameters(self, self._constraints)

    # --- saving -----------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        """What was learnt: every attribute that ends in one underscore."""
        return {
            name: value
            for name, value in vars(self).items()
            if name.endswith("_") and not name.startswith("_") and name != "fingerprint_"
        }

    def _restore(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`_state` gave; objects arrive as their state, to be built here."""
        for name, value in state.items():
            learnt = name.isidentifier() and name.endswith("_") and not name.startswith("_")
            if not learnt or hasattr(type(self), name):
                raise MakedoInputError(
                    f"model.json holds {name!r}, which is not something {type(self).__name__} "
                    "learns."
                )
            setattr(self, name, value)

    def to_state(self) -> dict[str, Any]:
        """What a model directory holds of an estimator that is part of another one."""
        parameters = self.get_params(deep=False)
        return {"class": type(self).__name__, "parameters": parameters, "state": self._state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Any:
        """The inverse of :meth:`to_state`; the caller finds the class by its name."""
        part = cls(**state["parameters"])
        part._check_parameters()
        part._restore(dict(state["state"]))
        return part

    def _card(self) -> str:
        """What only this class can tell the model card: its use, and which files hold user rows."""
        return ""

    def save(self, path: str | Path) -> None:
        """Write the fitted model as a directory of JSON, safetensors and Parquet.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        MakedoInputError
            Something that is not a model directory stands at ``path``.
        """
        import makedo

        check_is_fitted(self)
        lines = [f"- {name}: {value!r}" for name, value in self.get_params(deep=False).items()]
        parameters = "\n".join(lines)
        command = f"makedo {self.room.replace('_', '-')} predict"
        card = (
            f"# {type(self).__name__}\n\n{self._card().strip()}\n\n"
            f"Made by makedo {makedo.__version__}. Load it in Python with `makedo.load(path)`, or "
            f"give the directory to `{command}`.\n\n"
            f"## Parameters\n\n{parameters}\n"
        )
        save_model(self, path, self._state(), card)

    @classmethod
    def load(cls, path: str | Path, **objects: Any) -> Any:
        """Read a directory that ``save`` of this class wrote; :func:`makedo.load` reads any."""
        room = _room_of(cls)
        return load_model(
            path, lambda r, name: cls if (r, name) == (room, cls.__name__) else None, **objects
        )


def _room_of(cls: type) -> str:
    package, part, *rest = [*cls.__module__.split("."), ""]
    if package != "makedo":
        raise MakedoInputError(
            f"{cls.__name__} is not a class of makedo, so no model directory can name it."
        )
    return rest[0] if part == "methods" else part
