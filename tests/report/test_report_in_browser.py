import html
import json
import re
import shutil
import subprocess

import pytest

from makedo.report.palette import DARK, LIGHT

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)

# The page in a frame as wide as a phone; what is measured there is written into the outer page.
OUTER = """<!doctype html><body>
<iframe width="360" height="740" srcdoc="{page}"></iframe>
<pre></pre>
<script>
onload = () => {{
  const page = document.querySelector("iframe").contentDocument
  const style = (e) => page.defaultView.getComputedStyle(e)
  const all = (s) => [...page.querySelectorAll(s)]
  document.querySelector("pre").textContent = JSON.stringify({{
    first: page.body.innerText.split("\\n")[0],
    width: page.documentElement.scrollWidth,
    boxes: all(".scroll").map((e) => [e.clientWidth, e.scrollWidth]),
    paper: style(page.body).backgroundColor,
    ink: style(all("svg text")[0]).fill,
    sizes: all("svg text").map((e) => e.getBoundingClientRect().height),
    right: all("svg text").map((e) => e.getBoundingClientRect().right),
    left: all("svg text").map((e) => e.getBoundingClientRect().left),
  }})
}}
</script>"""


def rgb(color):
    return "rgb({}, {}, {})".format(*(int(color[i : i + 2], 16) for i in (1, 3, 5)))


@pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome is installed")
@pytest.mark.parametrize(("mode", "colors"), [(1, LIGHT), (0, DARK)], ids=["light", "dark"])
def test_a_phone_shows_the_report_without_scrolling_sideways(report, tmp_path, mode, colors):
    outer = tmp_path / "outer.html"
    outer.write_text(OUTER.format(page=html.escape(report.to_html())), encoding="utf-8")
    done = subprocess.run(
        [
            BROWSER,
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--enable-logging=stderr"),
            f"--blink-settings=preferredColorScheme={mode}",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            outer.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    seen = json.loads(html.unescape(re.search(r"<pre>(.+)</pre>", done.stdout)[1]))
    assert seen["first"] == report.verdict
    assert seen["width"] <= 360
    assert any(inner > box for box, inner in seen["boxes"])  # the wide table scrolls in its own box
    assert seen["paper"] == rgb(colors["paper"]) and seen["ink"] == rgb(colors["ink"])
    assert min(seen["sizes"]) >= 9  # line height of the smallest text, in pixels
    assert max(seen["right"]) <= 360 and min(seen["left"]) >= 0
    assert "CONSOLE" not in done.stderr, done.stderr
