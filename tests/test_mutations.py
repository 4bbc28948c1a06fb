"""The catalogue of bugs fits the sources, and a few of them are put in and caught; ``make mutations`` takes them all."""

import ast
from collections import Counter
from pathlib import Path

import pytest
from mutations.catalogue import KERNELS, LAYERS, LOSSES, MUTATIONS, OPTIMIZERS
from mutations.scratch import Scratch, patched, source

PAGE = Path(__file__).parents[1] / "docs" / "mutations.md"


@pytest.fixture(scope="module")
def scratch():
    with Scratch() as scratch:
        yield scratch


def test_there_are_many_and_none_twice():
    assert len(MUTATIONS) >= 60
    assert max(Counter((m.file, m.old, m.new) for m in MUTATIONS).values()) == 1


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.bug)
def test_every_patch_fits_in_one_place_and_is_python(mutation):
    text = source(mutation.file).read_text(encoding="utf-8")
    assert ast.dump(ast.parse(patched(text, mutation))) != ast.dump(ast.parse(text))


@pytest.mark.parametrize("mutation", [LAYERS[0], KERNELS[3], LOSSES[7], OPTIMIZERS[1]], ids=lambda m: m.bug)
def test_a_few_are_caught(scratch, mutation):
    outcome = scratch.run(mutation)
    assert outcome.caught
    assert outcome.test.startswith(mutation.tests[0])


def test_what_is_no_bug_survives(scratch):
    """After the others: their patches are out of the copy again."""
    harmless = LAYERS[0]._replace(new=LAYERS[0].old + "  # the same")
    assert scratch.run(harmless) == (False, "", "")


def test_tests_that_do_not_run_catch_nothing(scratch):
    with pytest.raises(RuntimeError, match="did not run"):
        scratch.test("test_layers.py::test_gradcheck", "-k", "no_such_layer")


def test_a_patch_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match=r"linear.py: 'no such line' occurs 0 times, not once"):
        patched("some text", LAYERS[0]._replace(old="no such line"))


def test_the_page_is_that_of_the_catalogue():
    if not PAGE.exists():
        pytest.skip("not a checkout")
    page = PAGE.read_text(encoding="utf-8")
    assert f"**{len(MUTATIONS)} of {len(MUTATIONS)} bugs caught.**" in page
    assert all(f"| {mutation.bug} | `{mutation.file}` |" in page for mutation in MUTATIONS), "write it again: make mutations"
