"""Machine code as ``nvdisasm`` prints it: instructions, loops, and what the innermost loops are made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

LABEL = re.compile(r"^(\.L_\w+):")
INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)\s*([^;]*);")
TARGET = re.compile(r"`\((\.L_\w+)\)")
MULTIPLY_ADD = {"FFMA": 4, "DFMA": 8, "FFMA2": 8}  # bytes of the numbers that one thread adds up; HFMA2 writes constants
LOADS = ("LDG", "LD", "LDS", "LDL", "LDGSTS")


@dataclass(frozen=True)
class Instruction:
    name: str
    operands: str

    @property
    def stem(self) -> str:
        return self.name.partition(".")[0]

    @property
    def bytes(self) -> int:
        """Of one thread, for a load or a store."""
        width = re.search(r"\.(64|128|256)\b", self.name)
        small = re.search(r"\.[US](8|16)\b", self.name)
        return int(width[1]) // 8 if width else int(small[1]) // 8 if small else 4


@dataclass
class Loop:
    """The instructions from a label to a branch back to it."""

    instructions: list[Instruction] = field(default_factory=list)

    def count(self, *stems: str) -> int:
        return sum(each.stem in stems for each in self.instructions)

    @property
    def fmas(self) -> int:
        """Multiply-adds of numbers, not of addresses."""
        return self.count(*MULTIPLY_ADD)

    @property
    def fma_share(self) -> float:
        return self.fmas / len(self.instructions)

    def bytes_per(self, *stems: str) -> float:
        """Of one thread's load, on average; 0 if there is none."""
        sizes = [each.bytes for each in self.instructions if each.stem in stems]
        return sum(sizes) / len(sizes) if sizes else 0.0


@dataclass
class Code:
    instructions: list[Instruction]
    innermost: list[Loop]

    @property
    def hot(self) -> Loop:
        """The innermost loop with most multiply-adds, else the longest; the whole code if it has no loop.

        One with exponentials and the like (MUFU) comes after others: its multiply-adds are those of a function's polynomial.
        """
        loops = self.innermost or [Loop(self.instructions)]
        return max(loops, key=lambda loop: (loop.fmas * (not loop.count("MUFU")), loop.fmas, len(loop.instructions)))


def parse(text: str) -> Code:
    """The code of the one kernel in ``text``."""
    instructions: list[Instruction] = []
    labels: dict[str, int] = {}
    for line in text.splitlines():
        if found := LABEL.match(line):
            labels[found[1]] = len(instructions)
        elif found := INSTRUCTION.match(line):
            instructions.append(Instruction(found[1], found[2].strip()))
    return Code(instructions, [Loop(instructions[a:b]) for a, b in innermost(spans(instructions, labels))])


def spans(instructions: list[Instruction], labels: dict[str, int]) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of each loop. A branch to itself, with which code ends, is none."""
    for at, each in enumerate(instructions):
        if each.stem == "BRA" and (found := TARGET.search(each.operands)):
            start = labels.get(found[1], at)
            if start < at:
                yield start, at + 1


def innermost(found: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    loops = sorted(set(found))
    return [x for x in loops if not any(y != x and x[0] <= y[0] and y[1] <= x[1] for y in loops)]
