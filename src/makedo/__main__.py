"""``python -m makedo`` is the command ``makedo``."""

import sys

from makedo.cli import main

if __name__ == "__main__":
    sys.exit(main())
