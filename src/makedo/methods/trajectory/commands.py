"""The verbs of ``makedo trajectory``."""

from __future__ import annotations

import inspect
import shlex
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import makedo
from makedo.core.checks import MakedoInputError, first
from makedo.core.diagnosis import Diagnosis
from makedo.core.verbs import Fitted, Model, Page, Rows, Settings
from makedo.data.tracks import Tracks

HELP = {
    "tracks": "file or folder of positions: ETH text, csv, parquet, TrajNet++ ndjson, npz",
    "columns": "other names of columns, such as frame=t,agent=id,x=px,y=py,kind=type,scene=take",
    "seconds_per_frame": "how long one unit of the frame column lasts",
    "seconds_per_step": "bring positions to steps of this length (default: as they are)",
    "unit": "unit of positions: m, ft, km, cm, mm, yd, how many metres one unit is, or deg for "
    "longitude and latitude",
    "function": "your own predictor, as module:function",
    "explained": "file that explain wrote, instead of explaining again",
}


def diagnose(
    *,
    tracks: Path,
    columns: list[str] | None = None,
    seconds_per_frame: float | None = None,
    seconds_per_step: float | None = None,
    unit: str = "m",
    settings: Settings,
) -> Diagnosis:
    """Ask whether these tracks hold anything that neighbours tell and the place does not."""
    model = settings.build(makedo.TrajectoryAttributor)
    found = model.diagnose(_read(tracks, columns, seconds_per_frame, seconds_per_step, unit))
    given = _as_given(columns, seconds_per_frame, seconds_per_step, unit, settings)
    return replace(found, command=found.command.replace("--seconds-per-frame S", given))


def fit(
    *,
    tracks: Path,
    columns: list[str] | None = None,
    seconds_per_frame: float | None = None,
    seconds_per_step: float | None = None,
    unit: str = "m",
    settings: Settings,
) -> Fitted:
    """Train the predictor that is to be explained, and remember random neighbours."""
    model = settings.build(makedo.TrajectoryAttributor)
    return model.fit(_read(tracks, columns, seconds_per_frame, seconds_per_step, unit))


def explain(
    model: Model | None = None,
    *,
    tracks: Path,
    columns: list[str] | None = None,
    seconds_per_frame: float | None = None,
    seconds_per_step: float | None = None,
    unit: str = "m",
    function: str | None = None,
    settings: Settings,
) -> Rows:
    """Value every cue of every target: of a fitted model, or of your own function."""
    read = _read(tracks, columns, seconds_per_frame, seconds_per_step, unit)
    return _ready(model, function, settings, read).explain(read).to_frame()


def predict(
    model: Model,
    *,
    tracks: Path,
    columns: list[str] | None = None,
    seconds_per_frame: float | None = None,
    seconds_per_step: float | None = None,
    unit: str = "m",
) -> Rows:
    """Predict where every target will be."""
    return model.predict(_read(tracks, columns, seconds_per_frame, seconds_per_step, unit))


def evaluate(
    model: Model,
    *,
    tracks: Path,
    columns: list[str] | None = None,
    seconds_per_frame: float | None = None,
    seconds_per_step: float | None = None,
    unit: str = "m",
) -> Rows:
    """Judge the predictor with and without neighbours, beside simpler ones."""
    return model.evaluate(_read(tracks, columns, seconds_per_frame, seconds_per_step, unit))


def report(
    model: Model | None = None,
    *,
    tracks: Path | None = None,
    explained: Path | None = None,
    columns: list[str] | None = None,
    seconds_per_frame: float | None = None,
    seconds_per_step: float | None = None,
    unit: str = "m",
    function: str | None = None,
    settings: Settings,
    show_rows: bool = False,
) -> Page:
    """Show what the predictor uses."""
    if tracks is not None:
        read = _read(tracks, columns, seconds_per_frame, seconds_per_step, unit)
        return _ready(model, function, settings, read).report(read, show_rows=show_rows)
    if model is None:
        raise MakedoInputError("report: give MODEL, or --tracks with --function.")
    found = None if explained is None else _explained(explained, model)
    return model.report(found, show_rows=show_rows)


VERBS = [diagnose, fit, explain, predict, evaluate, report]


# --- files and texts to arguments -----------------------------------------------------------------


def _read(
    tracks: Any,
    columns: list[str] | None,
    seconds_per_frame: float | None,
    seconds_per_step: float | None,
    unit: str,
) -> Tracks:
    source = getattr(tracks, "frame", tracks)  # the root diagnose gives a table
    names = _names(columns)
    return Tracks.read(
        source, seconds_per_frame=seconds_per_frame, seconds_per_step=seconds_per_step,
        unit=_number_or(unit), **names,
    )  # fmt: skip


def _as_given(
    columns: list[str] | None,
    seconds_per_frame: float | None,
    seconds_per_step: float | None,
    unit: str,
    settings: Settings,
) -> str:
    """How tracks and parameters were given on the command line."""
    options = {
        "columns": ",".join(columns or []) or None,
        "seconds-per-frame": seconds_per_frame,
        "seconds-per-step": seconds_per_step,
        "unit": None if unit == "m" else unit,
    }
    parts = [f"--{name} {shlex.quote(str(v))}" for name, v in options.items() if v is not None]
    return " ".join([*parts, *(w for w, _ in settings.given.values() if w.startswith("--set"))])


def _number_or(text: str) -> float | str:
    """The text as a number, where it is one."""
    try:
        return float(text)
    except ValueError:
        return text


def _names(columns: list[str] | None) -> dict[str, Any]:
    known = ("scene", "frame", "agent", "x", "y", "kind", "group")
    pairs = [text.partition("=") for text in columns or []]
    if wrong := [a for a, _, b in pairs if a not in known or not b]:
        raise MakedoInputError(
            f"--columns: {first(wrong)} is not understood. Give name=column with the names "
            f"{', '.join(known)}."
        )
    return {a: b for a, _, b in pairs}


def _ready(model: Any, function: str | None, settings: Settings, tracks: Tracks) -> Any:
    """The fitted model, or one around the user's function."""
    if (model is None) == (function is None):
        raise MakedoInputError("give either MODEL or --function module:function.")
    if model is not None:
        if settings.given.keys() - {"device"}:
            raise MakedoInputError(
                "--set, --config and --seed are for --function; a model has its own."
            )
        return model
    if "predictor" in settings.given:
        raise MakedoInputError(
            "give either --function or --set predictor=…: what --function names is the predictor."
        )
    built = settings.build(makedo.TrajectoryAttributor)
    return built.set_params(predictor=_function(str(function))).fit(tracks)


def _function(text: str) -> Any:
    """The user's function from ``module:function``, looked for in the current folder too."""
    module, colon, name = text.partition(":")
    if not (module and colon and name):
        raise MakedoInputError(f"--function {text}: give it as module:function.")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise MakedoInputError(f"--function {text} cannot be imported ({error}).") from error
    finally:
        sys.path.pop(0)
    if isinstance(found, type):
        raise MakedoInputError(
            f"--function {text} is a class. Make one, such as `predictor = {name}()`, and name "
            "that."
        )
    if callable(found) and not hasattr(found, "predict"):
        _check_takes_five(found, text)
    return found


def _check_takes_five(function: Any, text: str) -> None:
    try:
        inspect.signature(function).bind(*range(5))
    except TypeError as error:
        raise MakedoInputError(
            f"--function {text} does not take the five arguments (past, neighbors, present, "
            f"n_samples, seeds): {error}."
        ) from error
    except ValueError:  # a builtin without a signature: its answer will tell
        pass


def _explained(path: Path, model: Any) -> Any:
    import pandas as pd

    from makedo.data.files import read_table
    from makedo.methods.trajectory.attribution import Attribution

    frame = read_table(path)
    if path.suffix == ".parquet":  # it says how it was made; of other files only the model can
        frame.attrs = pd.read_parquet(path, columns=[]).attrs
    found = Attribution.from_frame(frame)
    return found if found.settings else replace(found, settings=model.settings())
