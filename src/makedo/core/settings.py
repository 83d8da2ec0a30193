"""Constructor parameters from the command line, typed: ``--set`` and ``--config``."""

from __future__ import annotations

import csv
import difflib
import inspect
import io
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from makedo.core.checks import MakedoInputError, first

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """What the user set of an estimator's constructor parameters.

    Parameters
    ----------
    given : dict of str to (str, object)
        For each parameter where it was given, for messages, and its value; text is typed when the
        class is known.
    quiet : bool, default=True
        Whether the estimator keeps its progress to itself.
    """

    given: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    quiet: bool = True

    @classmethod
    def read(
        cls,
        changes: Sequence[str] = (),
        config: str | Path | None = None,
        *,
        seed: int | None = None,
        device: str | None = None,
        quiet: bool = True,
    ) -> Settings:
        """Read them as the command line gives them; what stands there wins over the config file.

        Raises
        ------
        MakedoInputError
            A change is not ``key=value``, something is set twice, or the file is not as it should.
        """
        line: dict[str, tuple[str, Any]] = {}
        if seed is not None:
            line["random_state"] = ("--seed", seed)
        if device is not None:
            line["device"] = ("--device", device)
        for change in changes:
            name, equals, text = change.partition("=")
            name = name.strip().replace("-", "_")
            if not (name and equals):
                raise MakedoInputError(
                    f"--set {change}: give it as key=value, for example --set max_epochs=50."
                )
            if name in line:
                raise MakedoInputError(
                    f"--set {change}: {name} is also given by {line[name][0]}. Give it once."
                )
            line[name] = (f"--set {change}", text.strip())
        return cls({**({} if config is None else read_config(config)), **line}, quiet)

    def build(self, cls: type[T]) -> T:
        """Make the estimator, unfitted; its own checks run now, before a file has been read.

        Raises
        ------
        MakedoInputError
            The class has no such parameter, or does not accept the value.
        """
        values = {
            name: typed(cls, name, value, where) for name, (where, value) in self.given.items()
        }
        if "verbose" in inspect.signature(cls).parameters:
            values.setdefault("verbose", 0 if self.quiet else 1)
        model: Any = cls(**values)
        model._check_parameters()
        return model


def read_config(path: str | Path) -> dict[str, tuple[str, Any]]:
    """The ``[settings]`` table of a TOML file: plain values; nothing in it is imported or run."""
    path = Path(path)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MakedoInputError(f"--config {path}: {error.strerror}.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MakedoInputError(f"--config {path} is not TOML: {error}.") from error
    settings = document.pop("settings", None)
    if document or not isinstance(settings, dict):
        found = f" It has {first(document)}." if document else ""
        raise MakedoInputError(
            f"--config {path} must hold one table, [settings], with lines such as "
            f"max_epochs = 50.{found}"
        )
    return {name: (f"{path.name}: {name}", value) for name, value in settings.items()}


def typed(cls: type, name: str, value: Any, where: str) -> Any:
    """``value`` as ``cls`` declares its constructor's parameter ``name``.

    A text (``--set`` gives nothing else) is read as the first of the choices, list, none,
    true/false, integer, number and text that the parameter's annotation allows; without an
    annotation, as what the default is.

    Raises
    ------
    MakedoInputError
        There is no such parameter, or the value is of another kind; starts with ``where``.
    """
    parameters = inspect.signature(cls).parameters
    if name not in parameters:
        near = difflib.get_close_matches(name, parameters, n=1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise MakedoInputError(
            f"{where}: {cls.__name__} has no parameter {name!r}.{meant} "
            f"It has {', '.join(parameters)}."
        )
    default = parameters[name].default
    kinds = _kinds(get_type_hints(cls.__init__).get(name, type(default)))
    if kinds in ([], [NoneType]):
        raise MakedoInputError(
            f"{where}: {name} of {cls.__name__} holds an object; it can be given in Python only."
        )
    try:
        return _read(value, kinds)
    except ValueError as error:
        words = " or ".join(map(_word, kinds))
        raise MakedoInputError(
            f"{where}: parameter {name} of {cls.__name__} must be {words}. Got {value!r}."
        ) from error


def _kinds(hint: Any) -> list[Any]:
    """The kinds that text or TOML can hold, of a union's members, in the order they are tried."""
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    composed = [kind for kind in members if get_origin(kind) in (Literal, list, tuple)]
    return [*composed, *(kind for kind in READERS if kind in members)]


def _read(value: Any, kinds: Sequence[Any]) -> Any:
    """``value`` as the first kind that it fits; ValueError if there is none."""
    for kind in kinds:
        try:
            if get_origin(kind) is Literal:
                return _read_choice(value, get_args(kind))
            if get_origin(kind) in (list, tuple):
                return get_origin(kind)(_read_items(value, _kinds(get_args(kind)[0])))
            return READERS[kind](value)
        except ValueError:
            continue
    raise ValueError(value)


def _read_none(value: Any) -> None:
    if value is not None and str(value).lower() not in ("none", "null"):
        raise ValueError(value)


def _read_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() not in ("true", "false"):
        raise ValueError(value)
    return str(value).lower() == "true"


def _read_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(value)
    if not -(2**63) <= int(value) < 2**63:  # numpy and torch have no larger ones
        raise ValueError(value)
    return int(value)


def _read_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(value)
    return float(value)


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(value)
    return value


def _read_choice(value: Any, choices: Sequence[Any]) -> Any:
    for choice in choices:
        if value in (choice, str(choice)):
            return choice
    raise ValueError(value)


def _read_items(value: Any, kinds: Sequence[Any]) -> list[Any]:
    items = split_list(value) if isinstance(value, str) else value
    if not isinstance(items, list):
        raise ValueError(value)
    return [_read(item, kinds) for item in items]


def split_list(text: str) -> list[str]:
    """``'a, "b,c"'`` is ``['a', 'b,c']``: separated by commas or lines, quoted as in csv."""
    lines = csv.reader(io.StringIO(text, newline=None), skipinitialspace=True)
    return [item.strip() for line in lines for item in line if item.strip()]


def names_of(option: str, texts: Sequence[str]) -> list[str] | None:
    """What an option names that may be repeated; None where it is not given.

    Raises
    ------
    MakedoInputError
        It is given and names nothing, as an empty variable of a script does.
    """
    names = [name for text in texts for name in split_list(text)]
    if texts and not names:
        raise MakedoInputError(
            f"{option}: {first(texts)} names nothing. Give names separated by commas, or leave the "
            "option out."
        )
    return names or None


def _word(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(repr, get_args(kind)))
    return WORDS.get(kind, "a list")


READERS = {
    NoneType: _read_none,
    bool: _read_bool,
    int: _read_int,
    float: _read_float,
    str: _read_text,
}
WORDS = {
    NoneType: "none",
    bool: "true or false",
    int: "an integer of 64 bits",
    float: "a number",
    str: "text",
}
