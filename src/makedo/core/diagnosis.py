"""The answer of every room's ``diagnose``: does its method apply to this data, with what gain?"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

VERDICTS = ("applies", "may help", "does not apply", "cannot tell")


@dataclass(frozen=True)
class Diagnosis:
    """What a method can be expected to do on the data it was shown.

    Parameters
    ----------
    verdict : {"applies", "may help", "does not apply", "cannot tell"}
    expected_gain : float or None
        Gain over the obvious baseline, in ``unit``; positive means that the method helps.  None:
        not estimated.
    interval : (float, float) or None
        95 % interval of ``expected_gain``.
    unit : str
        For example ``"points of accuracy on nodes without edges"``.
    figures : dict
        The measured figures that the verdict rests on.
    advice : str
        What to do, in one or two sentences.
    command : str
        The command line to run next; empty when there is none.
    seconds : float
        What the diagnosis took.
    """

    verdict: str
    expected_gain: float | None = None
    interval: tuple[float, float] | None = None
    unit: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    advice: str = ""
    command: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        assert self.verdict in VERDICTS, self.verdict

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    def shown_figures(self) -> dict[str, Any]:
        """The figures with their numbers written for a reader."""
        shown = dict(self.figures)
        for name, value in shown.items():
            if isinstance(value, float):
                shown[name] = f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
            elif isinstance(value, int):
                shown[name] = f"{value:,}"
        return shown

    @property
    def gain_in_words(self) -> str:
        """``'+6.4 (4.1 to 8.7) points of accuracy …'``; empty where it was not estimated."""
        if self.expected_gain is None:
            return ""
        ends = [self.expected_gain, *(self.interval or ())]
        digits = 1 if max(map(abs, ends)) >= 1 else 3
        between = ""
        if self.interval is not None:
            between = " ({:+.{d}f} to {:+.{d}f})".format(*self.interval, d=digits)
        return f"{self.expected_gain:+.{digits}f}{between} {self.unit}"

    def __str__(self) -> str:
        lines = [f"{self.verdict.capitalize()}. {self.advice}"]
        if self.expected_gain is not None:
            lines.append(f"Expected gain: {self.gain_in_words}.")
        width = max((len(name) for name in self.figures), default=0)
        lines += [f"  {name:<{width}}  {value}" for name, value in self.shown_figures().items()]
        if self.command:
            lines.append(f"Next: {self.command}")
        return "\n".join(lines)
