"""The results file of a room: a list of records, written atomically by one writer at a time."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from makedo.core.checks import MakedoInputError, count, first
from makedo.core.paired import Metric, summary
from makedo.core.persistence import replacing

Record = dict[str, Any]

# Every record has these: the place and the last three from run_table, the others from measured.
KEYS = (
    "table", "data", "group", "row", "metric", "paper", "ours", "sd", "n_seeds", "values",
    "seconds", "command", "date",
)  # fmt: skip


def measured(
    metric: Metric,
    group: str,
    values: Mapping[int, float] | Sequence[float],
    *,
    paper: float | None = None,
    interval: tuple[float, float] | None = None,
    size: float | None = None,
    params: Mapping[str, Any] | None = None,
    note: str = "",
) -> Record:
    """The record of one row in one group.

    Parameters
    ----------
    metric : Metric
    group : str
    values : dict of int to float, or sequence of float
        Score per seed (or repeat), in the metric's unit; NaN where the seed has none.
    paper : float, optional
        The paper's figure, in the same unit.
    interval : (float, float), optional
        Where there are no seeds to take an sd over.
    size : float, optional
        Mean number of test rows.
    params : dict, optional
        The configuration that was chosen.
    note : str
        What a reader has to know: why it is missing, what differs from the paper.
    """
    by_seed = dict(values) if isinstance(values, Mapping) else dict(enumerate(values))
    scores = np.array([v for v in by_seed.values() if not math.isnan(v)], dtype=float)
    mean, sd = summary(scores)
    record: Record = {
        "group": group,
        "metric": metric.name,
        "unit": metric.unit,
        "higher_is_better": metric.higher_is_better,
        "decimals": metric.decimals,
        "paper": paper,
        "ours": mean,
        "sd": sd,
        "n_seeds": len(scores),
        "seeds": list(by_seed),
        "values": [float(value) for value in by_seed.values()],
    }
    extra = {"interval": interval and list(interval), "size": size, "note": note}
    record |= {key: value for key, value in extra.items() if value}
    return record | ({"params": dict(params)} if params else {})


def metric_of(record: Record) -> Metric:
    """The metric of a record, without its scale: records are in its unit."""
    return Metric(
        record["metric"],
        record.get("unit", ""),
        higher_is_better=record.get("higher_is_better", True),
        decimals=record.get("decimals", 3),
    )


def place_of(record: Record) -> tuple[str, str, str]:
    """Table, data and row."""
    return record["table"], record["data"], record["row"]


def read_results(path: str | Path) -> list[Record]:
    """Read a results file; a missing one has no records.

    Raises
    ------
    MakedoInputError
        The file is not a list of records.
    """
    path = Path(path)
    if not path.exists():
        return []
    mend = "Restore it from version control, or delete it to measure everything again."
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise MakedoInputError(
            f"{path}: the results are not valid JSON ({error}). {mend}"
        ) from error
    if not isinstance(records, list):
        raise MakedoInputError(f"{path}: the results are not a list of rows. {mend}")
    for i, record in enumerate(records):
        if not isinstance(record, dict) or not _is_sound(record):
            lacks = [k for k in KEYS if not isinstance(record, dict) or k not in record]
            what = f"lacks {first(lacks)}" if lacks else "has a value of the wrong kind"
            raise MakedoInputError(f"{path}: row {i + 1} of {count(len(records))} {what}. {mend}")
    return records


def _is_sound(record: Record) -> bool:
    """Whether every value has the kind that the rest of the house relies on."""

    def number(value: Any) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool)

    def text(value: Any) -> bool:
        return isinstance(value, str)

    def numbers(value: Any) -> bool:
        return isinstance(value, list) and all(v is None or number(v) for v in value)

    needed = {"table": text, "data": text, "group": text, "row": text, "metric": text}
    needed |= {"command": text, "date": text, "n_seeds": number, "seconds": number}
    needed |= {"values": numbers}
    optional = dict.fromkeys(("paper", "ours", "sd", "size"), number)
    optional |= {"unit": text, "note": text, "seeds": numbers, "decimals": number}
    optional |= {"interval": lambda v: isinstance(v, list) and len(v) == 2 and all(map(number, v))}
    optional |= {"params": lambda v: isinstance(v, dict)}
    return (
        all(key in record for key in KEYS)
        and all(is_kind(record[key]) for key, is_kind in needed.items())
        and all(is_kind(record[k]) for k, is_kind in optional.items() if record.get(k) is not None)
        and len(record.get("seeds", ())) in (0, len(record["values"]))
    )


def write_results(path: Path, records: Sequence[Record]) -> None:
    """Write all records, one a line (a change shows as the lines it changes), in one rename."""
    lines = []
    for record in records:
        keys = (*KEYS, *sorted(set(record) - set(KEYS)))
        ordered = {key: record[key] for key in keys}
        lines.append(json.dumps(plain(ordered), ensure_ascii=False, allow_nan=False))
    with replacing(path) as fresh:
        fresh.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """The value as JSON can hold it: NaN becomes None, numpy's scalars Python's, others text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


@contextmanager
def one_writer(path: Path) -> Iterator[None]:
    """Hold the results file; the system lets go of it when the process dies, however it dies."""
    with open(path.with_name(f".{path.name}.lock"), "wb") as lock:
        try:
            _lock(lock.fileno())
        except OSError as error:
            raise MakedoInputError(
                f"{path}: another makedo is writing these results. Wait until it has finished."
            ) from error
        for left in path.parent.glob(f".{path.name}.*.part"):  # of a writer that was killed
            left.unlink()
        yield


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
