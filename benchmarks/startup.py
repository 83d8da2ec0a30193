"""What does makedo cost before it does anything?  Seconds over a bare Python start, median of 5.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "bare Python": ["-c", "pass"],
    "import makedo": ["-c", "import makedo"],
    "makedo --help": ["-m", "makedo.cli", "--help"],
    "makedo list": ["-m", "makedo.cli", "list"],
}
HEAVY = ("torch", "sklearn", "pandas")


def seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    times = {name: [seconds(command) for _ in range(6)][1:] for name, command in COMMANDS.items()}
    bare = statistics.median(times["bare Python"])
    for name, found in times.items():
        over = "" if name == "bare Python" else f"  {statistics.median(found) - bare:.3f} over it"
        print(f"{name:<16} {statistics.median(found):.3f} s{over}")
    for name in ("import makedo", "makedo --help"):
        code = (
            "import sys, makedo; from makedo import cli" if "help" in name else "import sys, makedo"
        )
        code += f"; print([m for m in {HEAVY!r} if m in sys.modules])"
        loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        print(f"{name}: of {', '.join(HEAVY)} loaded: {loaded.stdout.decode().strip()}")


if __name__ == "__main__":
    main()
