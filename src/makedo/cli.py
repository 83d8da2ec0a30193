"""The command line ``makedo``: its own commands, and each room's verbs, mounted when asked for.

``makedo --help`` and ``makedo list`` read ROOMS; they import no room, no torch, no scikit-learn and
no pandas.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

import makedo
from makedo.core.checks import MakedoInputError, first
from makedo.core.console import run
from makedo.core.diagnosis import VERDICTS, Diagnosis
from makedo.core.outputs import print_json
from makedo.core.persistence import replacing
from makedo.core.settings import Settings, names_of
from makedo.core.verbs import House, Table, call, command_name, mount
from makedo.methods import ROOMS

ROOM_PACKAGES = "makedo.methods"
DEMO_DIR = "makedo-demo"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (default: that of the process) and return its exit code."""
    # Read when torch is imported: threads wait for one another asleep.  Awake they win a tenth of
    # the time on an idle machine, and lose two thirds where another process holds a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return run(root, sys.argv[1:] if arguments is None else arguments)


def files() -> Any:
    """The reader and writer of tables; imports pandas."""
    return import_module("makedo.data.files")


class Room(click.Group):
    """The verbs of one room, imported when one of them is asked for."""

    def __init__(self, room: str):
        record = ROOMS[room]
        text = (
            f"{record['title']}: {record['trouble']}.\n\nYou give {record['gives']}.\n\n"
            f"You get {record['gets']}.\n\n{record['paper']}"
        )
        super().__init__(
            command_name(room), help=text, short_help=record["trouble"], invoke_without_command=True
        )
        self.callback = show_help
        self.room = room

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the room's order."""
        return list(self._verbs())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one verb."""
        return self._verbs().get(command_name(cmd_name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs, each with its whole first sentence."""
        write_commands(formatter, "Verbs", self._verbs())

    def _verbs(self) -> dict[str, click.Command]:
        if not self.commands:
            self.commands = mount(self.room, part(self.room, "commands"), House(files, makedo.load))
        return dict(self.commands)


class Root(click.Group):
    """The commands of the house and, as commands of their own, its rooms."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands of the house, then the rooms."""
        return [*self.commands, *map(command_name, ROOMS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command of the house or a room; nothing of the room is imported yet."""
        room = cmd_name.replace("-", "_")
        return Room(room) if room in ROOMS else super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the two lists: the methods, and what they share."""
        rooms = {command_name(room): Room(room) for room in ROOMS}
        write_commands(formatter, "Methods", rooms)
        write_commands(formatter, "Commands", self.commands)


def write_commands(
    formatter: click.HelpFormatter, heading: str, commands: Mapping[str, click.Command]
) -> None:
    """Write a list of commands, each with its whole first sentence."""
    with formatter.section(heading):
        formatter.write_dl([(name, one.get_short_help_str(300)) for name, one in commands.items()])


def part(room: str, name: str) -> Any:
    """Import a room's module, such as its ``commands`` or ``demo``."""
    package = f"{ROOM_PACKAGES}.{room}"
    if find_spec(f"{package}.{name}") is None:
        raise MakedoInputError(f"{command_name(room)} has no {name} yet.")
    return import_module(f"{package}.{name}")


def find_room(name: str) -> str:
    """The ROOMS name of a method as the user typed it."""
    room = name.replace("-", "_")
    if room not in ROOMS:
        raise MakedoInputError(
            f"There is no method {name!r}. There are: {', '.join(map(command_name, ROOMS))}."
        )
    return room


@click.pass_context
def show_help(context: click.Context) -> None:
    """Without a verb, say what there is."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@click.group(
    cls=Root, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(makedo.__version__, prog_name="makedo", message="%(prog)s %(version)s")
def root() -> None:
    """Make do with the data you have: methods for learning when data falls short."""
    show_help()


# --- what there is -------------------------------------------------------------------------------


@root.command("list")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def list_rooms(as_json: bool) -> None:
    """The methods, one line each, and what is installed for them."""
    lacking = {room: lacking_packages(record["extra"]) for room, record in ROOMS.items()}
    if as_json:
        print_json({room: {**record, "lacking": lacking[room]} for room, record in ROOMS.items()})
        return
    width = max(map(len, ROOMS))
    for room, record in ROOMS.items():
        ready = f'pip install "makedo[{record["extra"]}]"' if lacking[room] else "ready"
        click.echo(f"{command_name(room):<{width}}  {record['trouble']}  [{ready}]")


def lacking_packages(extra: str) -> list[str]:
    """The packages of an extra of makedo that are not installed."""
    try:
        requirements = metadata.requires("makedo") or []
    except metadata.PackageNotFoundError:  # run from a source tree
        return []
    names = [
        re.split(r"[^\w.-]", one)[0]
        for one in requirements
        if re.search(rf"extra == ['\"]{extra}['\"]", one)
    ]
    return [name for name in names if not _is_installed(name)]


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


@root.group()
def data() -> None:
    """Named data sets: what there is, and where it lies."""


@data.command("list")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def list_data(as_json: bool) -> None:
    """The catalogue: name, where it was found, licence, what it is."""
    records = [vars(record) for record in import_module("makedo.data.catalog").available()]
    if as_json:
        print_json(records)
        return
    width = max(len(record["name"]) for record in records)
    for record in records:
        place = f"{record['name']:<{width}}  {record['where']:<8}"
        click.echo(f"{place}  {record['what']}  [{record['licence']}]")


@data.command("get")
@click.argument("name")
def get_data(name: str) -> None:
    """Make sure that a data set is here; show its licence and its path."""
    catalog = import_module("makedo.data.catalog")
    place = catalog.path(name)
    record = next(record for record in catalog.available() if record.name == name)
    click.echo(f"{record.what}\nLicence: {record.licence}\n{place}")


@data.command("path")
@click.argument("name")
def show_path(name: str) -> None:
    """The file that a data set is read from."""
    click.echo(import_module("makedo.data.catalog").path(name))


# --- what the rooms do ---------------------------------------------------------------------------


@root.command()
@click.argument("method", required=False)
@click.option(
    "--out",
    default=DEMO_DIR,
    show_default=True,
    metavar="DIR",
    help="folder for the report and the model",
)
@click.option("--quiet", is_flag=True, help="no progress")
def demo(method: str | None, out: str, quiet: bool) -> None:
    """Fit, compare and report on real data that installs with makedo; print the report's path."""
    module = part(find_room(method or next(iter(ROOMS))), "demo")
    click.echo(module.run(Path(out), quiet))


@root.command()
@click.argument("method", required=False)
@click.option("--table", metavar="NAME", help="one of the method's tables (default: all)")
@click.option(
    "--data",
    metavar="NAMES",
    multiple=True,
    help="only these data sets, separated by commas (default: all)",
)
@click.option("--seeds", type=click.IntRange(1), help="number of seeds (default: the table's own)")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="rows measured at a time, each by a process with one thread",
)
@click.option(
    "--results",
    default="results",
    show_default=True,
    metavar="DIR",
    help="folder of the measured rows",
)
@click.option(
    "--render", is_flag=True, help="write RESULTS.md beside that folder, and measure nothing"
)
def reproduce(
    method: str | None,
    table: str | None,
    data: tuple[str, ...],
    seeds: int | None,
    jobs: int,
    results: str,
    render: bool,
) -> None:
    """Measure a paper's tables again: rows that are already measured are kept."""
    if render == (method is not None):
        raise click.UsageError("give either a method or --render")
    tables = import_module("makedo.core.tables")
    if method is None:
        page = Path(results).absolute().parent / "RESULTS.md"
        with replacing(page) as fresh:
            fresh.write_text(tables.render(results, ROOMS), encoding="utf-8")
        click.echo(page)
        return
    room = find_room(method)
    module = part(room, "reproduce")
    names = list(module.tables())
    if table is not None and table not in names:
        raise MakedoInputError(
            f"{command_name(room)} has no table {table!r}. It has {first(names, 99)}."
        )
    asked = {
        name: partial(table_rows, room, name, seeds) for name in names if table in (None, name)
    }
    only = chosen_data(data, room, asked)
    for name, rows in asked.items():
        line = f"makedo reproduce {command_name(room)} --table {name}"
        line += f" --seeds {seeds}" if seeds else ""
        tables.run_table(room, rows, results, data=only, jobs=jobs, command=line)
    click.echo(tables.render(results, {room: ROOMS[room]}))


def table_rows(room: str, table: str, seeds: int | None) -> Iterable[Any]:
    """The rows of a room's table; worker processes call it too."""
    return part(room, "reproduce").rows(table, seeds)


def chosen_data(
    names: Sequence[str], room: str, tables: Mapping[str, Callable[[], Iterable[Any]]]
) -> list[str] | None:
    """The data sets that the user named with ``--data``; None for all.

    Raises
    ------
    MakedoInputError
        None of the tables has a row of one of them.
    """
    wanted = names_of("--data", names)
    if wanted is None:
        return None
    known = list(dict.fromkeys(row.data for rows in tables.values() for row in rows()))
    if unknown := [name for name in wanted if name not in known]:
        where = f"table {first(tables)}" if len(tables) == 1 else "tables"
        raise MakedoInputError(
            f"--data: the {where} of {command_name(room)} has no rows of {first(unknown)}. "
            f"There are {first(known, 99)}."
        )
    return wanted


# --- which of them fits --------------------------------------------------------------------------


@root.command()
@click.argument("paths", nargs=-1, metavar="FILES…")
@click.option(
    "--as",
    "roles",
    multiple=True,
    metavar="ROLE=FILE",
    help="what a file is, such as edges=links.csv",
)
@click.option("--label", help="column of labels")
@click.option("--id", "id_", help="column of ids (default: node_id or id)")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.option("--quiet", is_flag=True, help="no progress")
def diagnose(
    paths: tuple[str, ...],
    roles: tuple[str, ...],
    label: str | None,
    id_: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Which of the methods fit this data: one verdict a method, with what it would bring."""
    named = read_roles(roles)
    if not (paths or named):
        raise click.UsageError("name the files to look at")
    read = files().read_table
    tables = {path: Table(Path(path), read) for path in dict.fromkeys([*paths, *named.values()])}
    found = import_module("makedo.data.roles").find_roles(
        {path: table.frame for path, table in tables.items()}, id_
    )
    for option, column in (("--label", label), ("--id", id_)):
        check_column(option, column, tables.values())
    given: dict[str, Any] = {"settings": Settings(quiet=quiet)}
    given |= {name: value for name, value in (("label", label), ("id", id_)) if value is not None}
    answers = {room: ask(room, found, named, tables, given) for room in ROOMS}
    order = sorted(answers, key=lambda room: VERDICTS.index(answers[room].verdict))
    if as_json:
        print_json({room: answers[room].to_dict() for room in order})
        return
    width = max(map(len, answers))
    for room in order:
        click.echo(f"{command_name(room):<{width}}  {verdict_line(answers[room])}")


def check_column(option: str, column: str | None, tables: Collection[Table]) -> None:
    """Refuse a column that none of the tables has: no room could answer."""
    if column is None or any(column in table.frame for table in tables):
        return
    known = "; ".join(f"{table.name} has {first(table.frame.columns, 20)}" for table in tables)
    raise MakedoInputError(f"{option} {column}: no file has a column of that name. {known}.")


def read_roles(pairs: Sequence[str]) -> dict[str, str]:
    """The files that the user named for roles, from ``role=file``."""
    known = {role for record in ROOMS.values() for role in record["files"].split()}
    named = {}
    for pair in pairs:
        role, _, path = pair.partition("=")
        if role not in known or not path:
            raise MakedoInputError(
                f"--as {pair}: give it as role=FILE; the roles are {first(sorted(known), 99)}."
            )
        named[role] = path
    return named


def ask(
    room: str,
    found: Mapping[str, str],
    named: Mapping[str, str],
    tables: Mapping[str, Table],
    given: Mapping[str, Any],
) -> Diagnosis:
    """A room's diagnosis; what keeps it from one becomes the advice."""
    try:
        files_of = assign(ROOMS[room]["files"].split(), found, named)
        verb = next(verb for verb in part(room, "commands").VERBS if verb.__name__ == "diagnose")
        return call(verb, {**given, **{role: tables[path] for role, path in files_of.items()}})
    except (MakedoInputError, ImportError) as error:
        return Diagnosis("cannot tell", advice=str(error))


def assign(
    roles: Sequence[str], found: Mapping[str, str], named: Mapping[str, str]
) -> dict[str, str]:
    """The file for each role that a room wants.

    A role goes to the file that the user named for it, ``edges`` to the only edge list, and the
    only other role to the only other table.

    Parameters
    ----------
    roles : sequence of str
        What the room takes.
    found : dict of str to {"edges", "rows"}
        For each file what it is.
    named : dict of str to str
        The file of each role that the user named.

    Raises
    ------
    MakedoInputError
        A role has no file.
    """
    taken = {role: path for role, path in named.items() if role in roles}
    free = {path: kind for path, kind in found.items() if path not in named.values()}
    edges = [path for path, kind in free.items() if kind == "edges"]
    rows = [path for path, kind in free.items() if kind != "edges"]
    if "edges" in roles and len(edges) == 1:
        taken.setdefault("edges", edges[0])
    others = [role for role in roles if role not in taken and role != "edges"]
    if len(others) == 1 and len(rows) == 1:
        taken[others[0]] = rows[0]
    if lacking := [role for role in roles if role not in taken]:
        raise MakedoInputError(
            f"needs a file for {' and '.join(lacking)}; say which with --as {lacking[0]}=FILE."
        )
    return taken


def verdict_line(answer: Diagnosis) -> str:
    """A diagnosis in one line."""
    gain = f" {answer.gain_in_words}." if answer.expected_gain is not None else ""
    return f"{answer.verdict}.{gain} {answer.advice}"


if __name__ == "__main__":
    sys.exit(main())
