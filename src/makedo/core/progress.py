"""Progress of a long job: a bar with rate, remaining time and loss, or log lines."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

logger = logging.getLogger("makedo")


class Progress:
    """Shows how far a job of ``total`` steps has come.

    Parameters
    ----------
    name : str
        What is being done.
    total : int
        Number of steps; a job may end earlier.
    verbose : int
        0 shows nothing.  1 shows a bar on a terminal; elsewhere it logs at most about ten lines a
        job, and the last one.  2 logs every step.
    """

    def __init__(self, name: str, total: int, verbose: int = 0):
        self.name, self.total, self.verbose = name, total, verbose
        self.started, self.done, self._bar, self._shown = time.perf_counter(), 0, None, False

    def __enter__(self) -> Progress:
        if self.verbose and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total}"),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[figures]}"),
                console=Console(stderr=True),
                transient=False,
            )
            self._bar.start()
            self._task = self._bar.add_task(self.name, total=self.total, rate="", figures="")
        return self

    def advance(self, **figures: Any) -> None:
        """One step is done; ``figures`` (loss, score …) are shown beside it."""
        self.done += 1
        if not self.verbose:
            return
        self._figures = "  ".join(
            f"{name} {value:.4g}"
            for name, value in figures.items()
            if isinstance(value, (int, float))
        )
        if self._bar is not None:
            rate = f"{self.done / max(time.perf_counter() - self.started, 1e-9):.0f}/s"
            self._bar.update(self._task, advance=1, rate=rate, figures=self._figures)
            return
        every = 1 if self.verbose > 1 else max(1, self.total // 5)
        self._shown = self.done % every == 0 or self.done == self.total
        if self._shown:
            self._log()

    def _log(self) -> None:
        seconds = time.perf_counter() - self.started
        logger.info(
            "%s %d/%d  %.1f s  %s", self.name, self.done, self.total, seconds, self._figures
        )

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self.verbose and self.done and not self._shown:
            self._log()
