"""How a command speaks and ends: results on stdout, notes and errors on stderr, an exit code.

========  ==========================================================================================
exit      when
========  ==========================================================================================
0         done
1         a fault of ours or of a library: one line; ``MAKEDO_TRACEBACK=1`` shows where
2         the user's data, files or options cannot be used: one line, what, where and what to do;
          also where they need more memory than there is, for only the user can ask for less
130       Ctrl-C; a fit that was stopped has saved its best state
========  ==========================================================================================
"""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from makedo.core.checks import InterruptedWarning, MakedoInputError, MakedoWarning

logger = logging.getLogger("makedo")


def run(command: click.Command, arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; errors become one line on stderr.

    Parameters
    ----------
    command : click.Command
        The root command.
    arguments : sequence of str
        Without the program's name.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a letter is no fault
    with _notes() as (seen, held):
        try:
            with command.make_context("makedo", list(arguments)) as context:
                command.invoke(context)
            sys.stdout.flush()
        except click.exceptions.Exit as end:  # --help and --version end here
            return end.exit_code
        except (KeyboardInterrupt, click.Abort):
            return _say("stopped.", 130)
        except click.UsageError as error:
            held.clear()
            line = error.ctx.command_path if error.ctx else "makedo"
            return _say(f"{error.format_message().rstrip('.')}. See: {line} --help", 2)
        except (click.ClickException, MakedoInputError) as error:
            held.clear()
            return _say(str(error), 2)
        except BrokenPipeError:  # the reader of stdout has gone, as in `makedo list | head -1`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except Exception as error:  # noqa: BLE001  (whatever it is, it is reported)
            if lacks_memory(error):
                held.clear()
                return _say(
                    f"there is not enough memory{_needed(error)}. Make the model or its batches "
                    "smaller with --set, or give fewer rows.",
                    2,
                )
            text = next((f": {line}" for line in str(error).splitlines() if line.strip()), "")
            return _say(
                f"fault: {type(error).__name__}{text}. MAKEDO_TRACEBACK=1 shows where it happened.",
                1,
            )
    return 130 if InterruptedWarning in seen else 0


def _say(message: str, code: int) -> int:
    if os.environ.get("MAKEDO_TRACEBACK"):
        traceback.print_exc()
    click.echo(f"makedo: {' '.join(message.split())}", err=True)
    return code


def lacks_memory(error: Exception) -> bool:
    """Whether more memory was asked for than there is; torch says so in words only."""
    words = ("can't allocate memory", "not enough memory", "out of memory", "size calculation over")
    told = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return told or isinstance(error, MemoryError)


def _needed(error: Exception) -> str:
    """How much was asked for at once, where the error says it."""
    found = re.search(r"allocate (\d[\d.]*) ?([KMGTPE]?i?B|bytes)", str(error))
    if found is None:
        return ""
    size, unit = found.groups()
    text = f"{float(size) / 1e9:,.1f} GB" if unit == "bytes" else f"{size} {unit}"
    return f" for {text} at once"


@contextmanager
def _notes() -> Iterator[tuple[set[type[Warning]], list[str]]]:
    """Log lines and warnings go to stderr, a line each.

    Gives the kinds of warning that came up, and those that are held back until the next log line or
    the end: bad input is told in one line.
    """
    said: set[str] = set()
    kinds: set[type[Warning]] = set()
    held: list[str] = []

    def release(_: object = None) -> bool:
        for text in held:
            click.echo(f"makedo: note: {text}", err=True)
        held.clear()
        return True

    def show(message: Warning | str, category: type[Warning], *_: object) -> None:
        kinds.add(category)
        text = " ".join(str(message).split())
        if not issubclass(category, MakedoWarning):
            text = f"{category.__name__}: {text}"
        if text not in said:  # scoring in batches would say it once a batch
            said.add(text)
            held.append(text)

    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(release)
    handler.setFormatter(logging.Formatter("%(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", MakedoWarning)
            warnings.showwarning = show
            yield kinds, held
    finally:
        release()
        logger.removeHandler(handler)
        logger.setLevel(level)
