'''Plain functions as commands of ``makedo METHOD VERB``.

A room's ``commands.py`` holds its verbs as plain functions; their signatures say all that the command line needs.
A complete one, in which ``columns`` splits a frame into X and y::

    """The verbs of the toy room."""

    from makedo.core.diagnosis import Diagnosis
    from makedo.core.verbs import Batches, Fitted, Model, Page, Rows, Settings, Table
    from makedo.methods.toy.estimator import NearestMean, columns

    HELP = {"data": "table with one row a sample and columns of numbers"}


    def diagnose(*, data: Table, label: str) -> Diagnosis:
        """Say whether the class means tell the classes apart."""
        return NearestMean().diagnose(*columns(data, label))


    def fit(*, data: Table, label: str, settings: Settings) -> Fitted:
        """Learn one mean per class."""
        return settings.build(NearestMean).fit(*columns(data, label))


    def predict(model: Model, *, data: Batches) -> Rows:
        """Name the class of each row."""
        for frame in data:
            yield frame.assign(prediction=model.predict(frame))


    def evaluate(model: Model, *, data: Table, label: str) -> Rows:
        """Count right answers, class by class."""
        return model.evaluate(*columns(data, label))


    def report(model: Model, *, data: Table, label: str) -> Page:
        """Compare with always naming the most frequent class."""
        return model.report(*columns(data, label))


    VERBS = [diagnose, fit, predict, evaluate, report]

Parameters before ``*`` are arguments, those after it options; one without a default is required, and ``X | None = None``
may be left out.  What a parameter's annotation makes of the command line:

================================  ===========================  =====================================================
annotation                        command line                 what the function gets
================================  ===========================  =====================================================
``Table``                         ``--nodes FILE``             ``.frame`` (read at first use) and ``.name``
``Batches``                       ``--nodes FILE``             ``.name``; iterating gives frames, read one by one
``Model``                         ``MODEL``, ``--device``      the fitted estimator
``Settings``                      ``--set --config --seed``    ``.build(Class)`` makes the estimator
                                  ``--device``
``str``, ``int``, ``float``       ``--label TEXT``             the value
``Literal["a", "b"]``             ``--rule [a|b]``             one of them
``list[str]``                     ``--features a,b``           a list; may be repeated, quotes as in csv
``bool``                          ``--show-rows``              True when given
``Path``                          ``--checkpoint PATH``        a ``pathlib.Path``
================================  ===========================  =====================================================

What the return annotation does with the result:

=============  ======================  ==============================================================================
``Fitted``     ``--out DIR``           ``save(DIR)``; with ``--report FILE.html`` also ``report().to_html()``
``Rows``       ``[--out FILE]``        a frame, or frames one after another, to a file by its suffix; else shown
``Diagnosis``  ``[--out FILE.json]``   shown; as JSON into the file
``Page``       ``--out FILE.html``     ``to_html()``; the verdict is shown
=============  ======================  ==============================================================================

Every verb has ``--json`` (print JSON) and ``--quiet``.  Every option is explained: by ``HELP`` of its module, or here if
its spelling is shared by the rooms.  Results stand under a temporary name until they are whole; a verb that fails
leaves nothing behind.
'''

from __future__ import annotations

import csv
import inspect
import json
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import click

from makedo.core.checks import InterruptedWarning, MakedoInputError, MakedoWarning, count
from makedo.core.diagnosis import Diagnosis
from makedo.core.persistence import replacing
from makedo.core.settings import read_config, typed

if TYPE_CHECKING:
    from pandas import DataFrame

T = TypeVar("T")

Model = Annotated[Any, "a fitted estimator, loaded from its directory"]
Fitted = Annotated[Any, "an estimator, saved to a directory"]
Rows = Annotated[Any, "a data frame, or data frames one after another"]
Page = Annotated[Any, "a report, written as one HTML page"]

# Options that several rooms share are spelled and explained alike; commands.py explains the others in HELP.
SHARED = {
    "id": "column of ids (default: node_id or id, else row numbers)",
    "label": "column of labels; an empty cell is unlabelled",
    "features": "columns to learn from, separated by commas (default: all others)",
    "show_rows": "let rows, texts and ids of the data into the report",
    "model": "directory that fit wrote",
}
MOST_ROWS = 60  # shown of a table; --out has them all
logger = logging.getLogger("makedo")


class Table:
    """A table of the user's: ``name`` for messages, ``frame`` with its rows, read at first use."""

    def __init__(self, path: str | Path, read: Callable[[Path], DataFrame]):
        self.path, self._read = Path(path), read

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @cached_property
    def frame(self) -> DataFrame:
        """The rows, as the file has them."""
        return self._read(self.path)


class Batches:
    """A table that may be larger than memory: iterating gives its rows as frames, at least one."""

    def __init__(self, path: str | Path, read: Callable[[Path], Iterator[DataFrame]]):
        self.path, self._read = Path(path), read

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    def __iter__(self) -> Iterator[DataFrame]:
        return self._read(self.path)


@dataclass(frozen=True)
class Settings:
    """Constructor parameters from ``--config``, ``--set``, ``--seed`` and ``--device``.

    Parameters
    ----------
    given : dict of str to (str, object)
        For each parameter where it was given, for messages, and its value: text is still to be typed.
    quiet : bool
        Whether the estimator shows its progress.
    """

    given: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    quiet: bool = True

    def build(self, cls: type[T]) -> T:
        """Make an unfitted estimator; its own checks run at once, before any file is read.

        Raises
        ------
        MakedoInputError
            The class has no such parameter, or the value is not one that it accepts.
        """
        values = {name: typed(cls, name, value, where) for name, (where, value) in self.given.items()}
        if "verbose" in inspect.signature(cls).parameters:
            values.setdefault("verbose", 0 if self.quiet else 1)
        model: Any = cls(**values)
        model._check_parameters()
        return model

    @classmethod
    def read(cls, changes: Sequence[str], config: str | None, quiet: bool, **shared: Any) -> Settings:
        """From the command line: ``--set`` wins over ``--config``; ``--seed`` and ``--device`` stand for themselves."""
        given = {} if config is None else read_config(Path(config))
        on_line: dict[str, tuple[str, Any]] = {}
        for change in changes:
            name, equals, text = change.partition("=")
            name = name.strip().replace("-", "_")
            if not (name and equals):
                raise click.UsageError(f"--set takes key=value, such as --set max_epochs=50. Got {change!r}.")
            if name in on_line:
                raise click.UsageError(f"--set {name}=… was given twice.")
            on_line[name] = (f"--set {change}", text.strip())
        for option, name in (("seed", "random_state"), ("device", "device")):
            if shared.get(option) is not None:
                if name in on_line:
                    raise click.UsageError(f"give either --{option} or --set {name}=…, not both.")
                on_line[name] = (f"--{option}", shared[option])
        return cls(given | on_line, quiet)


# --- functions to commands ----------------------------------------------------------------------------------------------


def mount(
    room: str, commands: ModuleType, *, files: Callable[[], Any], load: Callable[..., Any]
) -> dict[str, click.Command]:
    """Turn the ``VERBS`` of a room into commands.

    Parameters
    ----------
    room : str
        Its name in ROOMS.
    commands : module
        With ``VERBS`` and, for options that are not shared, ``HELP``.
    files : callable () -> module
        Gives ``read_table``, ``read_batches``, ``write_table`` and ``suffixes_writable``; called when a verb runs.
    load : callable (path, **parameters) -> estimator
        Loads a model directory of any room.

    Raises
    ------
    TypeError
        A verb's signature is not as this module's docstring says (a mistake in ``commands.py``).
    """
    explained = SHARED | getattr(commands, "HELP", {})
    return {
        (name := verb.__name__.replace("_", "-")): _command(name, verb, explained, room, files, load)
        for verb in commands.VERBS
    }


def _command(
    name: str,
    function: Callable[..., Any],
    explained: Mapping[str, str],
    room: str,
    files: Callable[[], Any],
    load: Callable[..., Any],
) -> click.Command:
    hints = get_type_hints(function, include_extras=True)
    where = f"{function.__module__}.{function.__name__}"
    if hints.get("return") not in RESULTS:
        raise TypeError(f"{where} must be annotated to return Fitted, Rows, Diagnosis or Page")
    if not function.__doc__:
        raise TypeError(f"{where} needs a docstring: it is the help of the command")
    result = RESULTS[hints["return"]]
    parameters = {
        key: _Parameter(key, _without_none(hints[key]), one, explained.get(key, ""), where)
        for key, one in inspect.signature(function).parameters.items()
    }

    def callback(**given: Any) -> None:
        given = {key.replace("_option", ""): value for key, value in given.items()}
        logger.setLevel(logging.WARNING if given["quiet"] else logging.INFO)
        request = _Request(
            **{key: given.get(key) for key in ("out", "report")}, as_json=given["json"], quiet=given["quiet"], files=files
        )
        house = _House(room, files, load, given)
        _check_out(result, request, [given[k] for k, p in parameters.items() if p.reads_file and given[k]])
        result.deliver(function(**{key: one.value(house) for key, one in parameters.items()}), request)

    options = [option for one in parameters.values() for option in one.declare()]
    if any(one.kind in (Model, Settings) for one in parameters.values()):
        options.append(_option("device", "auto, cpu, cuda or mps", metavar="NAME"))
    options += result.declare()
    options.append(_option("json", "print JSON", is_flag=True))
    options.append(_option("quiet", "no progress and no closing line", is_flag=True))
    names = [option.name for option in options]
    if len(set(names)) < len(names):
        raise TypeError(f"{where}: two options of one name in {names}")
    return click.Command(name, params=options, callback=callback, help=inspect.getdoc(function))
