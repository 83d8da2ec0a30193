"""Input checks and the sentences of our errors.

An error says what is wrong and where, shows the first offenders with their count, says what is
accepted, and gives the fix.  Every check here raises :class:`MakedoInputError`; the command line
turns it into one line and exit code 2.
"""

from __future__ import annotations

import importlib
import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class MakedoInputError(ValueError):
    """The caller's data or parameters cannot be used; the message says why and how to mend it."""


class MakedoWarning(UserWarning):
    """Something in the caller's data was repaired or looks wrong, and the result depends on it."""


class InterruptedWarning(MakedoWarning):
    """Training was stopped before its end; the best state so far is kept."""


def count(n: int, noun: str = "", plural: str = "") -> str:
    """Write a number and its noun: ``count(5429, "edge")`` is ``'5,429 edges'``."""
    if not noun:
        return f"{n:,}"
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def first(items: Iterable[Any], limit: int = 3) -> str:
    """Quote the first offenders: ``first(["p17", "p98"])`` is ``"'p17', 'p98'"``."""
    shown = []
    for item in items:
        if len(shown) == limit:
            break
        shown.append(repr(item.item() if isinstance(item, np.generic) else item))
    return ", ".join(shown)


def optional(package: str, *, extra: str, user: str) -> Any:
    """Import an optional package, or say which extra installs it.

    Parameters
    ----------
    package : str
        Import name, for example ``"torch_geometric"``.
    extra : str
        The extra of makedo that brings it.
    user : str
        Who needs it and for what; starts the sentence.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MakedoInputError(
            f'{user} needs {package}. Install it: pip install "makedo[{extra}]".'
        ) from error


# --- parameters -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number:
    """A parameter that must be a number from ``low`` to ``high``."""

    low: float = -math.inf
    high: float = math.inf
    integer: bool = False
    open_low: bool = False  # low itself is not allowed
    open_high: bool = False
    none: bool = False  # None is allowed too

    def accepts(self, value: Any) -> bool:
        """Whether the value is such a number; a bool is none."""
        if value is None:
            return self.none
        kind = numbers.Integral if self.integer else numbers.Real
        if isinstance(value, bool) or not isinstance(value, kind) or value != value:
            return False
        too_low = value <= self.low if self.open_low else value < self.low
        below = value < self.high if self.open_high else value <= self.high
        return below and not too_low

    def __str__(self) -> str:
        noun = "an integer" if self.integer else "a number"
        left = "(" if self.open_low or self.low == -math.inf else "["
        right = ")" if self.open_high or self.high == math.inf else "]"
        return (
            f"{noun} in {left}{self.low:g}, {self.high:g}{right}{' or None' if self.none else ''}"
        )


@dataclass(frozen=True)
class Choice:
    """A parameter that must be one of a few values."""

    values: tuple[Any, ...]

    def accepts(self, value: Any) -> bool:
        """Whether the value is one of them, of the same type."""
        return any(type(value) is type(known) and value == known for known in self.values)

    def __str__(self) -> str:
        return "one of " + ", ".join(repr(v) for v in self.values)


@dataclass(frozen=True)
class Function:
    """A parameter that must be something to call; ``form`` says with what, and what it gives."""

    form: str

    def accepts(self, value: Any) -> bool:
        """Whether the value can be called."""
        return callable(value)

    def __str__(self) -> str:
        return f"a function {self.form}"


@dataclass(frozen=True)
class Having:
    """A parameter that must be an object with a method, such as a network with ``forward``."""

    method: str
    what: str  # in words

    def accepts(self, value: Any) -> bool:
        """Whether the value is an object, and no class, with that method."""
        return callable(getattr(value, self.method, None)) and not isinstance(value, type)

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True)
class Text:
    """A parameter that must be text of some ``form``, which whoever uses it checks further."""

    form: str  # in words

    def accepts(self, value: Any) -> bool:
        """Whether the value is text."""
        return isinstance(value, str)

    def __str__(self) -> str:
        return self.form


@dataclass(frozen=True)
class Either:
    """A parameter that must satisfy one of several constraints."""

    options: tuple[Number | Choice | Function | Having | Text, ...]

    def accepts(self, value: Any) -> bool:
        """Whether one of the constraints accepts the value."""
        return any(option.accepts(value) for option in self.options)

    def __str__(self) -> str:
        return " or ".join(str(option) for option in self.options)


class Constraint(Protocol):
    """What a parameter must be: one of the classes above, or one that a room brings."""

    def accepts(self, value: Any) -> bool:
        """Whether the value will do."""
        ...


def check_parameters(owner: object, constraints: Mapping[str, Constraint]) -> None:
    """Check the constructor's parameters of ``owner``, as ``fit`` must before anything else."""
    for name, constraint in constraints.items():
        value = getattr(owner, name)
        if not constraint.accepts(value):
            shown = " ".join(repr(value).split())  # arrays have several lines
            shown = shown if len(shown) <= 200 else f"{shown[:200]} …"
            raise MakedoInputError(
                f"{type(owner).__name__}: parameter {name} must be {constraint}. Got {shown}."
            )
