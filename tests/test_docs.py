"""The documentation is true: its code runs, its links lead somewhere, each room is in it."""

import re
import runpy
import shlex
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from makedo import cli
from makedo.core.training import Training
from makedo.methods import ROOMS

HOME = Path(__file__).parent.parent
README = HOME / "README.md"
PAGES = [README, HOME / "CHANGELOG.md", *sorted((HOME / "docs").rglob("*.md"))]
EXAMPLES = sorted((HOME / "examples").glob("plot_*.py"))
FENCE = re.compile(r"^(?:<!-- as in (\S+) -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
GENERAL = "a new way for data with little proof of results and much hope".split()
NUMBERS = "no one two three four five six seven eight nine ten".split()


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the file it is an excerpt of, if any."""

    language: str
    text: str
    excerpt_of: str | None


def text_of(page):
    return page.read_text(encoding="utf-8")


def name_of(page):
    return str(page.relative_to(HOME))


def blocks_of(page):
    found = FENCE.findall(text_of(page))
    return [Block(language, text, file or None) for file, language, text in found]


def commands_of(block):
    """The commands of a shell block as lists of words; comments left out, continuations joined."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


PAGES_WITH_CODE = [
    page for page in PAGES if any(b.language in ("python", "sh") for b in blocks_of(page))
]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with what pages take for granted: papers, links, a log of readers, walkers."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    topic = np.where(np.arange(200) % 2, "graphs", "text")
    words = {"graphs": "node edge graph path", "text": "word sentence language topic"}
    theirs = [words[t if rng.random() < 0.8 else rng.choice(list(words))].split() for t in topic]
    drawn = [[*rng.choice(w, 1), *rng.choice(GENERAL, 5)] for w in theirs]
    papers = pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(200)],
            "title": [" ".join(chosen) for chosen in drawn],
            "year": rng.integers(2000, 2020, size=200),
            "topic": topic,
        }
    )
    source, target = np.triu_indices(160, 1)
    linked = rng.random(len(source)) < np.where(topic[source] == topic[target], 0.05, 0.005)
    edges = pd.DataFrame({"source": source[linked], "target": target[linked]})
    papers[:160].to_csv("nodes.csv", index=False)
    papers[160:].to_csv("new.csv", index=False)
    ("p" + edges.astype(str)).to_csv("edges.csv", index=False)
    reader = rng.choice(60, 1200, p=np.arange(1, 61) / 1830)
    read = {"user_id": reader, "item_id": rng.choice(papers["id"], 1200)}
    days = 1_500_000_000 + 86_400 * rng.integers(0, 300, 1200)
    pd.DataFrame(read).assign(timestamp=days).drop_duplicates().to_csv("log.csv", index=False)
    walk = rng.normal(scale=0.3, size=(120, 4, 2)).cumsum(0)
    frame, agent = (part.ravel() for part in np.indices((120, 4)))
    walkers = {"frame": frame, "agent": agent, "x": walk[..., 0].ravel(), "y": walk[..., 1].ravel()}
    pd.DataFrame(walkers).to_csv("tracks.csv", index=False)
    return tmp_path


@pytest.fixture
def short_training(monkeypatch):
    """Phases of a few epochs: pages are run to see that they run, not what is learnt."""
    whole = Training.run

    def run(training, phase):
        return whole(training, replace(phase, max_epochs=min(phase.max_epochs, 8)))

    monkeypatch.setattr(Training, "run", run)


def check_installs(words):
    """The extras that an install line names are there."""
    extras = tomllib.loads(text_of(HOME / "pyproject.toml"))["project"]["optional-dependencies"]
    for word in words:
        if named := re.search(r"\[(.+)\]", word):
            assert set(named[1].split(",")) <= extras.keys(), word


def run_command(words):
    """Run a line of ours; of the others see what can be seen without the network."""
    if words[0] == "makedo":
        assert cli.main(words[1:]) == 0, shlex.join(words)
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", text_of(HOME / "Makefile"), re.MULTILINE), words
    else:
        assert words[:2] == ["pip", "install"] or words[:3] == ["uv", "pip", "install"], (
            f"no test knows how to check: {shlex.join(words)}"
        )
        check_installs(words)


@pytest.mark.parametrize("page", PAGES_WITH_CODE, ids=name_of)
def test_the_code_of_a_page_runs_from_top_to_bottom(page, files, short_training):
    names = {}
    for number, block in enumerate(blocks_of(page)):
        if block.excerpt_of:
            assert block.text in text_of(HOME / block.excerpt_of), block.excerpt_of
        elif block.language == "python":
            file = files / f"block_{number}.py"
            file.write_text(block.text, encoding="utf-8")
            names = runpy.run_path(str(file), init_globals=names)
        elif block.language == "sh":
            for words in commands_of(block):
                run_command(words)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_of_code_says_its_language(page):
    assert text_of(page).count("```") == 2 * len(blocks_of(page))
    assert {block.language for block in blocks_of(page)} <= {"python", "sh", "text"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_links_of_a_page_lead_to_files_that_are_there(page):
    links = [link for link in LINK.findall(text_of(page)) if "://" not in link]
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_has_a_row_in_the_readme_and_a_page(room):
    record, command = ROOMS[room], f"makedo {room.replace('_', '-')} "
    rows = [row for row in text_of(README).splitlines() if row.startswith(f"| **{record['title']}")]
    assert len(rows) == 1
    assert record["trouble"] in rows[0] and command in rows[0]
    assert record["classes"].split()[0] in rows[0]
    link = f"methods/{room}.md"
    assert (HOME / "docs" / link).is_file() and f"docs/{link}" in text_of(README)
    assert link in text_of(HOME / "docs" / "choose.md")


def test_the_readme_promises_no_method_that_has_not_landed():
    titles = re.findall(r"^\| \*\*(.+?)\*\*", text_of(README), re.MULTILINE)
    assert titles == [record["title"] for record in ROOMS.values()]
    said = re.search(r"planned; (\w+) (?:has|have) landed", text_of(README))
    assert said and said[1] == NUMBERS[len(ROOMS)]


@pytest.mark.filterwarnings("default::makedo.core.checks.MakedoWarning")  # notes to its reader
@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_an_example_runs(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    try:
        runpy.run_path(str(example))
        assert 1 <= len(plt.get_fignums()) <= 3
    finally:
        plt.close("all")


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_an_example_asks_a_question_and_says_when_not_to_use_it(example):
    title = text_of(example).removeprefix('"""').strip().splitlines()[0]
    assert title.endswith("?")
    assert "# When not to use it\n# ---" in text_of(example)
