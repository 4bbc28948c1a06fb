"""A scratch copy of the packages and their tests, into which one bug is put at a time."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("manualbp", "manualbp_kernels")
TESTS = Path(__file__).parents[1]
GOES = 3  # for a bug to be caught: the tests draw their numbers at random


def source(file):
    """The path of ``package/…`` where Python imports the package from."""
    package, _, rest = file.partition("/")
    return Path(importlib.util.find_spec(package).origin).parent / rest


def patched(text, mutation):
    """``text`` with the bug in it; ValueError unless the patch fits in exactly one place."""
    if text.count(mutation.old) != 1:
        raise ValueError(
            f"{mutation.file}: {mutation.old!r} occurs {text.count(mutation.old)} times, not once: mend the catalogue"
        )
    return text.replace(mutation.old, mutation.new)


class Outcome(NamedTuple):
    """Whether a test failed, the first one that did, and what it said."""

    caught: bool
    test: str
    said: str


class Scratch:
    """``with Scratch() as scratch: scratch.run(mutation)``.

    Kernels run by their NumPy definitions and nothing is compiled, but for the tests of the loops, which are compiled from
    their changed sources and kept in the copy.
    """

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.writes = 0
        leave_out = shutil.ignore_patterns("__pycache__", "*.npz")
        for package in PACKAGES:
            shutil.copytree(source(f"{package}/"), self.root / package, ignore=leave_out)
        shutil.copytree(TESTS, self.root / "tests", ignore=leave_out)
        (self.root / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def run(self, mutation):
        """What its tests say with the bug in place."""
        path = self.root / mutation.file
        text = path.read_text(encoding="utf-8")
        self._write(path, patched(text, mutation))
        try:
            for _ in range(GOES):
                outcome = self.test(*mutation.tests)
                if outcome.caught:
                    break
            return outcome
        finally:
            self._write(path, text)

    def test(self, where, *options):
        """Run some tests until the first failure; RuntimeError if they cannot run at all."""
        compiled = where.startswith("test_kernel.py")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "--tb=short", "-p", "no:cacheprovider", f"tests/{where}", *options],
            cwd=self.root, capture_output=True, text=True, encoding="utf-8",
            env={
                **os.environ, "PYTHONPATH": str(self.root), "NUMBA_DISABLE_JIT": "0" if compiled else "1",
                "NUMBA_CACHE_DIR": str(self.root / "compiled"), "PYTHONUTF8": "1", "COLUMNS": "200",
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            },
        )  # fmt: skip
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{where} {options} did not run:\n{done.stdout}{done.stderr}")
        name = re.search(r"^FAILED tests/(\S+?::.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
        said = re.search(r"^E +(.*)$", done.stdout, re.MULTILINE)
        return Outcome(done.returncode == 1, name.group(1) if name else "", said.group(1) if said else "")

    def _write(self, path, text):
        """With a time stamp of its own, by which Python knows that what it compiled before is stale."""
        self.writes += 1
        path.write_text(text, encoding="utf-8")
        os.utime(path, (self.writes, self.writes))
