'''Plain functions as commands of ``makedo METHOD VERB``.

A room's ``commands.py`` holds its verbs as plain functions; their signatures say all that the
command line needs.  A complete one::

    from makedo import NearestMean
    from makedo.core.verbs import Batches, Diagnosis, Fitted, Model, Page, Rows, Settings, Table
    from makedo.data.table import split_columns

    HELP = {"rows": "table with one row a sample"}


    def diagnose(*, rows: Table, label: str) -> Diagnosis:
        """Say whether the class means tell the classes apart."""
        return NearestMean().diagnose(*_read(rows, label))


    def fit(*, rows: Table, label: str, settings: Settings) -> Fitted:
        """Learn one mean per class."""
        return settings.build(NearestMean).fit(*_read(rows, label))


    def predict(model: Model, *, rows: Batches) -> Rows:
        """Name the class of each row."""
        for frame in rows:
            yield frame.assign(prediction=model.predict(split_columns(frame)[2]))


    def evaluate(model: Model, *, rows: Table, label: str) -> Rows:
        """Count right answers, beside those of always naming the most frequent class."""
        return model.evaluate(*_read(rows, label))


    def report(model: Model, *, rows: Table, label: str) -> Page:
        """Did it pay?"""
        return model.report(*_read(rows, label))


    def _read(rows, label):
        _, y, X = split_columns(rows.frame, label=label, where=rows.name)
        return X, y


    VERBS = [diagnose, fit, predict, evaluate, report]

Parameters before ``*`` are arguments, those after it options; one without a default is required,
and ``X | None = None`` may be left out.  The annotation says what the command line has and what the
function gets:

======================  =========================  ===============================================
annotation              command line               value
======================  =========================  ===============================================
``Table``               ``--nodes FILE``           ``.frame`` (read at first use) and ``.name``
``Batches``             ``--nodes FILE``           ``.name``; iterating gives frames as they are
                                                   read
``Model``               ``MODEL``, ``--device``    the fitted estimator
``Settings``            ``--set --config --seed    ``.build(Class)`` makes the estimator
                        --device``
``str, int, float``     ``--label TEXT``           the value
``Literal["a", "b"]``   ``--rule [a|b]``           one of them
``list[str]``           ``--features a,b``         a list; may be repeated, quotes as in csv
``bool``                ``--show-rows``            True when given
``Path``                ``--checkpoint PATH``      a ``pathlib.Path``
======================  =========================  ===============================================

The return annotation says what becomes of the result:

=============  ========================  =========================================================
``Fitted``     ``--out DIR``             ``save(DIR)``; with ``--report FILE.html`` also
                                         ``report().to_html()``
``Rows``       ``[--out FILE]``          a frame, or frames one after another, to a file by its
                                         suffix; without ``--out`` shown
``Diagnosis``  ``[--out FILE.json]``     shown; as JSON into the file
``Page``       ``--out FILE.html``       ``to_html()``; the verdict is shown
=============  ========================  =========================================================

Every verb has ``--json`` (print JSON) and ``--quiet``.  Every option is explained: by ``HELP`` of
its module, or here if rooms share its spelling.  A result has a temporary name until it is whole: a
verb that fails leaves nothing behind.
'''

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import click

from makedo.core.checks import MakedoInputError
from makedo.core.diagnosis import Diagnosis
from makedo.core.outputs import DIAGNOSIS, MODEL, PAGE, ROWS, Request, Result, check_request
from makedo.core.settings import Settings, names_of

if TYPE_CHECKING:
    from pandas import DataFrame

Model = Annotated[Any, "a fitted estimator, loaded from its directory"]
Fitted = Annotated[Any, "an estimator, saved to a directory"]
Rows = Annotated[Any, "a data frame, or data frames one after another"]
Page = Annotated[Any, "a report, written as one HTML page"]

RESULTS: dict[Any, Result] = {Fitted: MODEL, Rows: ROWS, Diagnosis: DIAGNOSIS, Page: PAGE}
# Options that rooms share are spelled and explained alike; HELP of commands.py explains the others.
SHARED = {
    "id": "column of ids (default: node_id or id, else row numbers)",
    "label": "column of labels; an empty cell is unlabelled",
    "features": "columns to learn from, separated by commas (default: all others)",
    "show_rows": "let rows, texts and ids of the data into the report",
    "model": "directory that fit wrote",
}
logger = logging.getLogger("makedo")


class Table:
    """A table of the user's, read at first use.

    Attributes
    ----------
    name : str
        The file's name, for messages.
    frame : DataFrame
        Its rows.
    """

    def __init__(self, path: Path, read: Callable[[Path], DataFrame]):
        self.name, self._path, self._read = path.name, path, read

    @cached_property
    def frame(self) -> DataFrame:
        """The rows of the file."""
        return self._read(self._path)


class Batches:
    """A table that may be larger than memory: iterating gives its rows as frames, at least one.

    Attributes
    ----------
    name : str
        The file's name, for messages.
    """

    def __init__(self, path: Path, read: Callable[[Path], Iterator[DataFrame]]):
        self.name, self._path, self._read = path.name, path, read

    def __iter__(self) -> Iterator[DataFrame]:
        return self._read(self._path)


@dataclass(frozen=True)
class House:
    """What commands need of the parts of the house that this module may not import.

    Parameters
    ----------
    files : callable () -> module
        Gives ``read_table``, ``read_batches``, ``write_table`` and ``suffixes_writable``; called
        when a verb runs.
    load : callable (path, **parameters) -> estimator
        Reads a model directory of any room.
    """

    files: Callable[[], Any]
    load: Callable[..., Any]


def mount(room: str, commands: ModuleType, house: House) -> dict[str, click.Command]:
    """Turn the verbs of a room into commands.

    Parameters
    ----------
    room : str
        Its name in ROOMS.
    commands : module
        With ``VERBS`` and, for options that are not shared, ``HELP``.
    house : House

    Raises
    ------
    TypeError
        A signature is not as the docstring of this module says: a mistake in ``commands.py``.
    """
    explained = SHARED | getattr(commands, "HELP", {})
    return {
        command_name(verb.__name__): _command(verb, room, explained, house)
        for verb in commands.VERBS
    }


def command_name(name: str) -> str:
    """A room's or verb's name as it is typed: ``cold_brew`` is ``cold-brew``."""
    return name.replace("_", "-")


def call(verb: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """Call a verb with those of the values that it takes.

    Raises
    ------
    MakedoInputError
        One that it needs is not among them.
    """
    parameters = inspect.signature(verb).parameters.values()
    lacking = [one.name for one in parameters if one.default is one.empty and one.name not in given]
    if lacking:
        raise MakedoInputError(f"needs --{command_name(lacking[0])}.")
    return verb(**{one.name: given[one.name] for one in parameters if one.name in given})


# --- a signature as options ----------------------------------------------------------------------


EMPTY = inspect.Parameter.empty
# How an option of each kind is declared; every other kind is one of click's types.
FORMS: dict[Any, dict[str, Any]] = {
    Table: {"metavar": "FILE"},
    Batches: {"metavar": "FILE"},
    Path: {"metavar": "PATH"},
    bool: {"is_flag": True},
    list[str]: {"metavar": "NAMES", "multiple": True},
}
READABLE = (*FORMS, Model, Settings, str, int, float)


@dataclass(frozen=True)
class _Parameter:
    """One parameter of a verb: how the command line declares it, and its value there."""

    name: str
    kind: Any
    default: Any
    is_argument: bool
    help: str

    @property
    def is_file(self) -> bool:
        return self.kind in (Table, Batches)

    def declare(self) -> list[click.Parameter]:
        if self.kind is Settings:
            return _settings_options()
        if self.is_argument:
            return [click.Argument([self.name], required=self.default is EMPTY)]
        form = FORMS.get(self.kind, {"type": self.kind})
        if get_origin(self.kind) is Literal:
            form = {"type": click.Choice(get_args(self.kind))}
        if self.default is EMPTY:
            return [_option(self.name, self.help, required=self.kind is not bool, **form)]
        return [_option(self.name, self.help, default=self.default, **form)]

    def value(self, given: Mapping[str, Any], room: str, house: House) -> Any:
        if self.kind is Settings:
            shared = {key: given[key] for key in ("seed", "device", "quiet")}
            return Settings.read(given["set"], given["config"], **shared)
        raw = given[self.name]
        if self.kind == list[str]:
            return names_of(f"--{command_name(self.name)}", raw)
        if raw is None:
            return None
        if self.kind is Table:
            return Table(_existing(raw), house.files().read_table)
        if self.kind is Batches:
            return Batches(_existing(raw), house.files().read_batches)
        if self.kind == Model:
            return _load(raw, room, house, given["device"])
        return Path(raw) if self.kind is Path else raw


def _settings_options() -> list[click.Parameter]:
    change, file = "a parameter of the method; may be repeated", "parameters in a [settings] table"
    return [
        _option("set", change, metavar="KEY=VALUE", multiple=True),
        _option("config", file, metavar="FILE.toml"),
        _option("seed", "seed of all random numbers", type=click.IntRange(0)),
    ]


def _option(name: str, help: str, **form: Any) -> click.Option:
    shown = form.get("default") not in (None, False)
    return click.Option([f"--{command_name(name)}", name], help=help, show_default=shown, **form)


def _existing(path: str) -> Path:
    if not Path(path).exists():
        raise MakedoInputError(f"{path} does not exist.")
    return Path(path)


def _load(path: str, room: str, house: House, device: str | None) -> Any:
    model = house.load(path, **({} if device is None else {"device": device}))
    if model.room != room:
        theirs = command_name(model.room)
        raise MakedoInputError(f"{path} is a model of {theirs}: use makedo {theirs} …")
    return model


def _read_signature(
    verb: Callable[..., Any], hints: Mapping[str, Any], explained: Mapping[str, str]
) -> list[_Parameter]:
    where = f"{verb.__module__}.{verb.__name__}"
    found = []
    for name, one in inspect.signature(verb).parameters.items():
        kind = _without_none(hints.get(name))
        if kind not in READABLE and get_origin(kind) is not Literal:
            raise TypeError(f"{where}: makedo.core.verbs cannot read what {name!r} is annotated as")
        if kind is not Settings and name not in explained:
            raise TypeError(f"{where}: say in HELP what {name!r} is")
        is_argument = one.kind is not one.KEYWORD_ONLY
        found.append(_Parameter(name, kind, one.default, is_argument, explained.get(name, "")))
    return found


def _without_none(hint: Any) -> Any:
    if get_origin(hint) not in (Union, UnionType):
        return hint
    members = [member for member in get_args(hint) if member is not NoneType]
    return members[0] if len(members) == 1 else hint


def _command(
    verb: Callable[..., Any], room: str, explained: Mapping[str, str], house: House
) -> click.Command:
    where = f"{verb.__module__}.{verb.__name__}"
    hints = get_type_hints(verb, include_extras=True)
    if hints.get("return") not in RESULTS:
        raise TypeError(f"{where} must be annotated to return Fitted, Rows, Diagnosis or Page")
    if not verb.__doc__:
        raise TypeError(f"{where} needs a docstring: it is the help of the command")
    result, parameters = RESULTS[hints["return"]], _read_signature(verb, hints, explained)
    learns = any(one.kind in (Model, Settings) for one in parameters)

    def callback(**given: Any) -> None:
        logger.setLevel(logging.WARNING if given["quiet"] else logging.INFO)
        out, page = (None if given.get(k) is None else Path(given[k]) for k in ("out", "report"))
        request = Request(out, page, given["json"], given["quiet"], house.files())
        inputs = [Path(given[one.name]) for one in parameters if one.is_file and given[one.name]]
        check_request(result, request, inputs)
        value = verb(**{one.name: one.value(given, room, house) for one in parameters})
        result.deliver(value, request)

    options = [
        *(option for one in parameters for option in one.declare()),
        *([_option("device", "auto, cpu, cuda, cuda:1 or mps", metavar="NAME")] if learns else []),
        _option("out", result.help, metavar=result.metavar, required=result.required),
        *(
            [_option("report", "page to write as well", metavar="FILE.html")]
            if result.report
            else []
        ),
        _option("json", "print JSON", is_flag=True),
        _option("quiet", "no progress and no closing line", is_flag=True),
    ]
    names = [option.name for option in options]
    if twice := {str(name) for name in names if names.count(name) > 1}:
        raise TypeError(f"{where}: a parameter may not be called {sorted(twice)}")
    arguments = [f"{one.name.upper()}: {one.help}." for one in parameters if one.is_argument]
    text = "\n\n".join([inspect.cleandoc(verb.__doc__), *arguments])
    return click.Command(command_name(verb.__name__), params=options, callback=callback, help=text)
