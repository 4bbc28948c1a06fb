"""``python -m mutations``: put every bug of the catalogue in, one at a time, and write down which test caught it."""

import argparse
import re
import sys
from pathlib import Path

from tqdm import tqdm

from .catalogue import LOOPS, MUTATIONS
from .scratch import Scratch

HEAD = """# Mutations

Written by `make mutations`. Each line is a bug that people write into backpropagation by hand, put into a copy of our sources
as a patch ([tests/mutations/catalogue.py](../tests/mutations/catalogue.py)); then the tests run that the author of that layer,
loss or optimizer would run: central differences on the NumPy definitions, for optimizers a few steps by the published formula.
Bugs in compiled loops, the last of the table, are compiled, and the loops compared with their kernel's definition. Tests draw
their numbers at random and have up to three goes at a bug; without a bug all pass.

"""


def main():
    options = argparse.ArgumentParser(prog="mutations", description=__doc__)
    options.add_argument("--out", type=Path, help="the page to write")
    out = options.parse_args().out
    with Scratch() as scratch:
        for tests in tqdm(sorted({m.tests for m in MUTATIONS}), desc="without a bug", unit="run"):
            sound = scratch.test(*tests)
            if sound.caught:
                sys.exit(f"{sound.test} fails without a bug: {sound.said}")
        outcomes = [scratch.run(mutation) for mutation in tqdm(MUTATIONS, desc="with a bug", unit="bug")]
    if out:
        out.write_text(page(outcomes), encoding="utf-8")
    for mutation, outcome in zip(MUTATIONS, outcomes, strict=True):
        if not outcome.caught:
            print(f"SURVIVED  {mutation.file}: {mutation.bug}: {mutation.new}")
    print(verdict(outcomes))
    return 0 if all(outcome.caught for outcome in outcomes) else 1


def verdict(outcomes):
    return f"{sum(outcome.caught for outcome in outcomes)} of {len(outcomes)} bugs caught"


def page(outcomes):
    lines = [f"**{verdict(outcomes)}.**\n", "| bug | in | caught by | first at |", "|---|---|---|---|"]
    for mutation, (caught, test, said) in zip(MUTATIONS, outcomes, strict=True):
        where = re.search(r"worst[ =]'?(.+?\])", said)
        if mutation in LOOPS:
            at = "its result"
        elif where:
            at = f"`{where.group(1)}`"
        else:
            at = "the step" if said.startswith("AssertionError") else said.partition(":")[0]
        lines.append(f"| {mutation.bug} | `{mutation.file}` | {f'`{test}`' if caught else '**nothing**'} | {at} |")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
