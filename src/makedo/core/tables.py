"""Tables of measured rows: run once, resumed by row, kept with every seed's value, rendered.

``results/<room>.json`` is a list of records, one per table, data set, row and group.  A room's
``reproduce.py`` gives :class:`Row` objects (what to compute) and :class:`Pair` objects (which rows
to subtract, seed by seed); :func:`comparison_rows` makes both from candidates and a protocol.
:func:`run_table` computes what is not in the file yet and writes after each row, atomically.
:func:`render` turns all files into RESULTS.md: the same results give the same bytes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np

from makedo.core.candidates import Candidate, Run, Runs, clause, measure
from makedo.core.checks import MakedoInputError, first
from makedo.core.paired import ACCURACY, Metric, difference
from makedo.core.progress import logger
from makedo.core.results import (
    Record,
    measured,
    metric_of,
    one_writer,
    place_of,
    plain,
    read_results,
    write_results,
)
from makedo.core.workers import shared_out

Place = tuple[str, str, str]  # table, data, row


@dataclass(frozen=True)
class Row:
    """One row of a table, computed in one go.

    Parameters
    ----------
    table, data, row : str
        The row's place: the table's title, the data set's name in the catalogue, the row's name.
    compute : callable () -> list of dict
        One :func:`measured` record per group.  :class:`MakedoInputError` becomes a missing row with
        its reason.
    seeds : sequence of int
        A row in the file is kept if it was measured on at least these seeds.
    """

    table: str
    data: str
    row: str
    compute: Callable[[], list[Record]]
    seeds: Sequence[int] = ()


@dataclass(frozen=True)
class Pair:
    """A row of paired differences, taken from two rows that are in the file."""

    table: str
    data: str
    ours: str
    reference: str

    @property
    def row(self) -> str:
        """Its name in the table."""
        return f"{self.ours} over {self.reference}"


def comparison_rows(
    table: str,
    data: str,
    candidates: Sequence[Candidate],
    run: Run,
    *,
    seeds: Sequence[int],
    metric: Metric = ACCURACY,
    paper: Mapping[tuple[str, str], float] | None = None,
    pairs: Iterable[tuple[str, str]] = (),
    budget: int = 8,
    tuning_seed: int = 0,
) -> list[Row | Pair]:
    """The rows of a comparison: one per candidate, tuned at equal budget, then the differences.

    Parameters
    ----------
    table, data : str
    candidates, run, seeds, metric, budget, tuning_seed
        As in :func:`makedo.core.compare.compare`.
    paper : dict of (candidate, group) to float
        The paper's figures.
    pairs : iterable of (ours, reference)
        Which candidates to subtract.
    """
    figures, pairs = paper or {}, list(pairs)
    names = [candidate.name for candidate in candidates]
    unknown = {name for name, _ in figures} | {name for pair in pairs for name in pair}
    unknown -= set(names)
    if unknown:
        raise MakedoInputError(
            f"{table}: {first(sorted(unknown))} is not among the candidates {first(names, 99)}."
        )

    def compute(candidate: Candidate) -> list[Record]:
        runs = measure(
            candidate, run, seeds=seeds, metric=metric, budget=budget, tuning_seed=tuning_seed
        )
        return _records(runs, seeds, metric, figures)

    rows: list[Row | Pair] = [
        Row(table, data, candidate.name, lambda c=candidate: compute(c), seeds)
        for candidate in candidates
    ]
    return [*rows, *(Pair(table, data, ours, reference) for ours, reference in pairs)]


def _records(
    runs: Runs, seeds: Sequence[int], metric: Metric, paper: Mapping[tuple[str, str], float]
) -> list[Record]:
    groups = list(dict.fromkeys(g for outcome in runs.outcomes.values() for g in outcome.groups))
    notes = " ".join(f"{clause(text)}." for text in (runs.failure, *runs.notes) if text)
    records = []
    for group in groups or [""]:  # a candidate that never ran still has its row, with the reason
        found = {seed: o.groups.get(group, math.nan) for seed, o in runs.outcomes.items()}
        sizes = [o.sizes[group] for o in runs.outcomes.values() if group in o.sizes]
        records.append(
            measured(
                metric,
                group,
                {seed: found.get(seed, math.nan) * metric.scale for seed in seeds},
                paper=paper.get((runs.name, group)),
                size=float(np.mean(sizes)) if sizes else None,
                params=runs.configuration if runs.outcomes else None,
                note=notes,
            )
        )
    return records


# --- running ------------------------------------------------------------------------------------


def run_table(
    room: str,
    rows: Iterable[Row | Pair] | Callable[[], Iterable[Row | Pair]],
    results_dir: str | Path,
    *,
    data: Collection[str] | None = None,
    jobs: int = 1,
    command: str = "",
) -> list[Record]:
    """Compute the rows that ``results_dir/<room>.json`` lacks; return all records of the file.

    A row is written as soon as it is finished, so that killing the run loses only the rows in work.
    A row that was missing for a reason is tried again.  A row is measured again when more seeds are
    asked for than it has; if that cannot run, the older one stays.  Differences are always taken
    anew from the rows in the file, as soon as no row before them is left to compute.  New rows
    stand in the table's order, whatever the order in which they are finished.

    Parameters
    ----------
    room : str
    rows : iterable of Row or Pair, or callable that gives one
        Pairs after the rows that they subtract.  For several jobs it is a callable that pickles:
        each process makes the rows anew.
    results_dir : str or Path
    data : collection of str, optional
        Only the rows of these data sets.
    jobs : int
        How many processes compute rows; 1: this one does.
    command : str
        The command line that repeats the measurement; stored with each row.

    Raises
    ------
    MakedoInputError
        The results file is damaged, another process is writing it, or a pair names an unknown row.
    """
    path = Path(results_dir) / f"{room}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with one_writer(path):
        records = read_results(path)
        order, todo, pairs = _plan(rows, records, data)
        compute = partial(_computed, command=command)
        if jobs == 1:
            answers = _in_turn(todo, compute)
        else:
            assert callable(rows), "several jobs need a callable that makes the rows"
            answers = shared_out(rows, compute, list(todo), jobs)
        with closing(_finished(answers, set(todo), pairs)) as steps:
            for i, step in steps:
                if isinstance(step, Pair):
                    fresh = _paired(path, step, records)
                else:
                    fresh = step
                    logger.info("%s · %s · %s: %.1f s", *order[i], fresh[0]["seconds"])
                    if not _has_score(fresh) and _has_score(_there(order[i], records)):
                        why = fresh[0].get("note") or "nothing could be measured"
                        logger.warning("%s; the older row stays", clause(why))
                        continue
                records = _replaced(records, i, order, fresh)
                write_results(path, records)
    return records


def _plan(
    rows: Iterable[Row | Pair] | Callable[[], Iterable[Row | Pair]],
    records: Sequence[Record],
    data: Collection[str] | None,
) -> tuple[list[Place], dict[int, Row], dict[int, Pair]]:
    """The places of all rows in order; by number, what is to be computed and what subtracted."""
    order: list[Place] = []
    todo: dict[int, Row] = {}
    pairs: dict[int, Pair] = {}
    for i, row in enumerate(rows() if callable(rows) else rows):
        order.append((row.table, row.data, row.row))
        if data is not None and row.data not in data:
            continue
        if isinstance(row, Pair):
            pairs[i] = row
        elif _is_done(row, records):
            logger.info("%s · %s · %s: kept", *order[i])
        else:
            todo[i] = row
    return order, todo, pairs


def _in_turn(
    todo: dict[int, Row], compute: Callable[[Row], list[Record]]
) -> Generator[tuple[int, list[Record]], None, None]:
    """Compute one row after another, and let go of each: it may hold the data of its table."""
    for i in list(todo):
        yield i, compute(todo.pop(i))


def _finished(
    answers: Generator[tuple[int, list[Record]], None, None],
    missing: set[int],
    pairs: dict[int, Pair],
) -> Generator[tuple[int, list[Record] | Pair], None, None]:
    """Each row as it is computed, and each pair as soon as no row before it is missing."""
    with closing(answers):
        while True:
            for i in [i for i in pairs if not missing or i < min(missing)]:
                yield i, pairs.pop(i)
            if (answer := next(answers, None)) is None:
                return
            missing.remove(answer[0])
            yield answer


def _is_done(row: Row, records: Sequence[Record]) -> bool:
    there = _there((row.table, row.data, row.row), records)
    seeds = set.intersection(*(set(r.get("seeds", ())) for r in there)) if there else set()
    return _has_score(there) and seeds >= set(row.seeds)


def _there(place: Place, records: Sequence[Record]) -> list[Record]:
    return [r for r in records if place_of(r) == place]


def _has_score(records: Sequence[Record]) -> bool:
    return any(record["ours"] is not None for record in records)


def _computed(row: Row, command: str) -> list[Record]:
    started = time.perf_counter()
    try:
        found = row.compute()
    except MakedoInputError as error:
        found = [measured(Metric(""), "", {}, note=str(error))]
    seconds = round(time.perf_counter() - started, 3)
    stamp = {"seconds": seconds, "command": command, "date": date.today().isoformat()}
    return [plain(record | stamp) for record in found]


def _paired(path: Path, pair: Pair, records: Sequence[Record]) -> list[Record]:
    sides: list[dict[tuple[str, str], Record]] = []
    for name in (pair.ours, pair.reference):
        there = [r for r in records if place_of(r) == (pair.table, pair.data, name)]
        if not there:
            raise MakedoInputError(
                f"{path}: {pair.row!r} of {pair.table!r} on {pair.data!r} needs the row {name!r}, "
                "which has not been measured. Give that row before the pair."
            )
        sides.append({(r["group"], r["metric"]): r for r in there})
    ours, reference = sides
    shared = [(a, reference[key]) for key, a in ours.items() if key in reference]
    made = [_subtract(a, b) for a, b in shared if a["values"]]
    if not made:
        made = [measured(Metric(""), "", {}, note="no group was measured for both")]
    there = [*ours.values(), *reference.values()]
    stamp = {"seconds": 0.0, "command": there[0]["command"], "pair": [pair.ours, pair.reference]}
    stamp["date"] = max(record["date"] for record in there)
    return [plain(record | stamp) for record in made]


def _subtract(a: Record, b: Record) -> Record:
    """The record of one group's difference, by the seeds that both rows have."""
    by_seed = [
        {
            seed: math.nan if value is None else value
            for seed, value in zip(
                r.get("seeds") or range(len(r["values"])), r["values"], strict=True
            )
        }
        for r in (a, b)
    ]
    seeds = [seed for seed in by_seed[0] if seed in by_seed[1]]
    columns = ([side[seed] for seed in seeds] for side in by_seed)
    metric = metric_of(a)
    d = difference(*columns, seeds=seeds, group=a["group"], metric=metric)
    paper = None
    if a["paper"] is not None and b["paper"] is not None:
        paper = (a["paper"] - b["paper"]) * metric.sign
    return measured(metric, a["group"], d.values, paper=paper, interval=d.interval)


def _replaced(
    records: Sequence[Record], i: int, order: Sequence[Place], fresh: Sequence[Record]
) -> list[Record]:
    """The records with row ``i`` where its older version stood, else before a later row."""
    places = [place_of(record) for record in records]
    later = {order[i]} if order[i] in places else set(order[i + 1 :])
    at = next((n for n, place in enumerate(places) if place in later), len(records))
    stamp = dict(zip(("table", "data", "row"), order[i], strict=True))
    stamped = [stamp | record for record in fresh]
    return [*records[:at], *stamped, *(r for r in records[at:] if place_of(r) != order[i])]


# --- RESULTS.md ---------------------------------------------------------------------------------

HEAD = """# Results

Generated from `results/` by `makedo reproduce --render`, not typed. Every figure is the mean ± the
standard deviation over *n* seeds; *paper* is what the paper (or the source that the table names)
reports, where it does. Where methods have settings to choose, these were chosen on validation,
with one budget for all. Differences are paired seed by seed; a positive one means that the first
method is better, also where lower is better; the 95 % interval (Student's t) is bold where it
leaves out 0. Seeds share their data set: an interval says what repeating the experiment on this
data would give.
"""


def render(results_dir: str | Path, rooms: Mapping[str, Mapping[str, str]]) -> str:
    """RESULTS.md of all rooms that have results.

    Parameters
    ----------
    results_dir : str or Path
    rooms : dict of str to dict
        ROOMS: the order of the rooms and their ``title``.

    Raises
    ------
    MakedoInputError
        A results file is damaged.
    """
    parts = [HEAD]
    for room, about in rooms.items():
        records = read_results(Path(results_dir) / f"{room}.json")
        if records:
            parts.append(f"## {about['title']}\n")
        for table in _distinct(records, "table"):
            parts.append(f"### {_cell(table)}\n")
            inside = [record for record in records if record["table"] == table]
            for metric in [name for name in _distinct(inside, "metric") if name] or [""]:
                # A row that never ran has no metric of its own: it stands beside every other.
                shown = [r for r in inside if r["metric"] in (metric, "")]
                parts.append(_scores([r for r in shown if "pair" not in r]))
                if any("pair" in r for r in shown):
                    parts.append(_differences([r for r in shown if "pair" in r]))
            parts.append(_footnotes(inside))
    return "\n".join(parts)


def _scores(records: Sequence[Record]) -> str:
    """Data set × row down, groups across, the paper's figure beside each."""
    groups = _groups(records)
    with_paper = {r["group"] for r in records if r["paper"] is not None}
    head = ["data", "method", "n"]
    for group in groups:
        head += [_cell(group) or "score", *(["paper"] if group in with_paper else [])]
    lines = []
    for data in _distinct(records, "data"):
        here = [r for r in records if r["data"] == data]
        for row in _distinct(here, "row"):
            cells = {r["group"]: r for r in here if r["row"] == row}
            n = max(r["n_seeds"] or 0 for r in cells.values())
            line = [_cell(data), _cell(row), str(n) if n else "–"]
            for group in groups:
                record = cells.get(group)
                line.append(_score(record, n))
                if group in with_paper:
                    line.append(_number(record, "paper"))
            lines.append(line)
        sizes = {r["group"]: r["size"] for r in here if r.get("size")}
        if sizes:
            line = [_cell(data), "*test rows*", ""]
            for group in groups:
                line.append(f"*{sizes[group]:,.0f}*" if group in sizes else "–")
                line += [""] if group in with_paper else []
            lines.append(line)
    return f"{_caption(records)}\n\n{_table(head, lines)}"


def _differences(records: Sequence[Record]) -> str:
    groups = _groups(records)
    with_paper = {r["group"] for r in records if r["paper"] is not None}
    head = ["data", "paired difference", "n"]
    for group in groups:
        head += [_cell(group) or "score", *(["paper"] if group in with_paper else [])]
    lines = []
    for data, row in dict.fromkeys((r["data"], r["row"]) for r in records):
        cells = {r["group"]: r for r in records if (r["data"], r["row"]) == (data, row)}
        n = max(r["n_seeds"] or 0 for r in cells.values())
        line = [_cell(data), _cell(row), str(n) if n else "–"]
        for group in groups:
            record = cells.get(group)
            line.append(_gain(record, n))
            if group in with_paper:
                line.append(_number(record, "paper", sign=True))
        lines.append(line)
    return _table(head, lines)


def _footnotes(records: Sequence[Record]) -> str:
    """What was chosen, what is missing and why, and how to measure it again."""
    rows = {place_of(r): r for r in reversed(records)}  # the first record of each row
    rows = dict(reversed(rows.items()))
    lines = []
    for data in _distinct(records, "data"):
        here = [(row, r) for (_, where, row), r in rows.items() if where == data]
        chosen = [
            f"{row} " + ", ".join(f"{key}={value}" for key, value in r["params"].items())
            for row, r in here
            if r.get("params")
        ]
        if chosen:
            lines.append(f"- Settings, {_cell(data)}: {_cell('; '.join(chosen))}.")
        for row, r in here:
            if r.get("note"):
                lines.append(f"- {_cell(data)}, {_cell(row)}: {_cell(clause(r['note']))}.")
    dates = sorted(r["date"] for r in records)
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    seconds = sum(r["seconds"] or 0.0 for r in rows.values())
    commands = ", ".join(f"`{c}`" for c in _distinct(records, "command") if c)
    lines.append(f"- Measured {when} in {seconds:,.0f} s{': ' if commands else ''}{commands}.")
    return "\n".join(lines) + "\n"


def _caption(records: Sequence[Record]) -> str:
    one = next((r for r in records if r["metric"]), None)
    if one is None:
        return "Nothing could be measured."
    unit = f" in {one['unit']}" if one.get("unit") else ""
    better = {True: "; higher is better", False: "; lower is better", None: ""}
    name = _cell(one["metric"])
    return f"{name[:1].upper()}{name[1:]}{unit}{better[one.get('higher_is_better', True)]}."


def _score(record: Record | None, n: int) -> str:
    text = _number(record, "ours")
    if record is None or record["ours"] is None:
        return text
    metric = metric_of(record)
    if record["sd"] is not None:
        text += f" ± {metric.show(record['sd'])}"
    elif record.get("interval"):
        text += " ({} to {})".format(*(metric.show(end) for end in record["interval"]))
    return text + _fewer(record, n)


def _gain(record: Record | None, n: int) -> str:
    text = _number(record, "ours", sign=True)
    if record is None or record["ours"] is None or not record.get("interval"):
        return text
    low, high = record["interval"]
    between = "({} to {})".format(*(metric_of(record).show(end) for end in (low, high)))
    return f"{text} {f'**{between}**' if low > 0 or high < 0 else between}" + _fewer(record, n)


def _fewer(record: Record, n: int) -> str:
    return "" if record["n_seeds"] == n else f" (n = {record['n_seeds']})"


def _number(record: Record | None, key: str, sign: bool = False) -> str:
    if record is None or record[key] is None:
        return "–"
    return metric_of(record).show(record[key], sign)


def _groups(records: Sequence[Record]) -> list[str]:
    """Groups in order; the empty one, of rows that never ran, only where there is no other."""
    groups = _distinct(records, "group")
    return [group for group in groups if group] or groups


def _distinct(records: Sequence[Record], key: str) -> list[str]:
    return list(dict.fromkeys(record[key] for record in records))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", "---", *["---:"] * (len(head) - 2)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))
