"""docs/index.md and docs/questions say what is so: every ``>>>`` is run, on a page of questions beside its program."""

import doctest
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from tolerances import LAST_PLACE

import manualbp as mb

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {path.stem: path for path in sorted((DOCS / "questions").glob("*.md")) if path.stem != "index"}
HEADINGS = ["Short answer", "Experiment", "Where it is told wrongly"]
NUMBER = re.compile(r"(-?\d+)(\.\d*)?(e[+-]\d+)?")

sys.path.insert(0, str(DOCS / "extensions"))
from picture import load, svg  # noqa: E402


class Checker(doctest.OutputChecker):
    """Words and whole numbers must be the same, other numbers about the last place that is shown."""

    def check_output(self, want, got, optionflags):
        words, got_words = ("".join(NUMBER.sub("#", text).split()) for text in (want, got))
        return words == got_words and all(map(near, NUMBER.finditer(want), NUMBER.finditer(got)))


def near(want, got):
    _, places, power = want.groups()
    if not places:
        return want[0] == got[0]
    unit = 10.0 ** (int((power or "e0")[1:]) - len(places) + 1)
    return abs(float(want[0]) - float(got[0])) <= LAST_PLACE * unit


@pytest.mark.parametrize("page", [DOCS / "index.md", *PAGES.values()], ids=lambda page: page.stem)
def test_numbers(page):
    program = vars(load(page.with_suffix(".py"))) if page in PAGES.values() else {}
    parts = re.findall(r"^```pycon\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert parts, "a page shows what was measured"
    with np.printoptions(precision=4, suppress=True):
        names = {**program, "np": np, "mb": mb}
        test = doctest.DocTestParser().get_doctest("\n".join(parts), names, page.stem, str(page), 0)
        failed, _ = doctest.DocTestRunner(Checker()).run(test)
    assert not failed


@pytest.mark.parametrize("stem", PAGES)
def test_headings(stem):
    assert re.findall(r"^## (.+)$", PAGES[stem].read_text(encoding="utf-8"), re.MULTILINE) == HEADINGS


def test_every_program_has_its_page():
    assert {path.stem for path in (DOCS / "questions").glob("*.py")} == set(PAGES)
    assert set(re.findall(r"^\w+$", (DOCS / "questions" / "index.md").read_text(encoding="utf-8"), re.MULTILINE)) == set(PAGES)


@pytest.mark.parametrize(("want", "got", "same"), [
    ("loss 0.25", "loss 0.26", True), ("loss 0.25", "loss 0.29", False), ("45 steps", "46 steps", False),
    ("1.0e-03", "1.1e-03", True), ("1.0e-03", "1.5e-03", False), ("[0.5 1. ]", "[0.5  1.]", True), ("0.5 0.5", "0.5", False),
])  # fmt: skip
def test_the_checker_sees_what_differs(want, got, same):
    assert Checker().check_output(want, got, 0) is same


def test_a_picture_takes_the_colours_of_its_page():
    def draw():
        from matplotlib import pyplot as plt

        figure, axes = plt.subplots()
        axes.plot([1, 2], label="a line")
        axes.legend()
        return figure

    picture = svg(draw, "name")
    assert picture == svg(draw, "name")
    assert "currentColor" in picture
    assert "a line" in picture
    assert "<style" not in picture
    assert all(name.startswith("name-") for name in re.findall(r'\bid="([^"]+)"', picture))
