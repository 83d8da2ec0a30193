"""The colours of page and figures, in light and in dark.

Figures are drawn in the light colours; on the page each of them becomes a CSS variable of its name,
so that a figure follows the reader's light or dark mode.  The series are those of Okabe and Ito,
safe for the colour-blind, in shades that have a contrast of at least 3:1 with the page in both
modes: in the dark, for example, their sky blue stands for their blue.
"""

LIGHT = {
    "paper": "#fdfdfc",
    "ink": "#1c1e21",
    "muted": "#62676f",
    "rule": "#dcdde0",
    "wash": "#f1f1ef",
    "series-1": "#0072b2",  # blue
    "series-2": "#d55e00",  # vermilion
    "series-3": "#009a70",  # bluish green
    "series-4": "#c4689b",  # reddish purple
    "series-5": "#b07800",  # orange
}

DARK = {
    "paper": "#15171a",
    "ink": "#e7e6e3",
    "muted": "#9da2aa",
    "rule": "#35393f",
    "wash": "#1f2226",
    "series-1": "#56b4e9",
    "series-2": "#e8701a",
    "series-3": "#00b386",
    "series-4": "#d98bb6",
    "series-5": "#e69f00",
}

PAPER, INK, MUTED, RULE, WASH = (LIGHT[name] for name in ("paper", "ink", "muted", "rule", "wash"))
SERIES = [LIGHT[f"series-{i}"] for i in range(1, 6)] + [INK]
MARKERS = ["o", "s", "D", "^", "v", "X"]  # a second channel beside the colour
