"""What several tests need."""

import os
import sys
from contextlib import nullcontext

if os.environ.get("MANUALBP_GPU", "0") in ("", "0"):  # else `pytest -k cuda` runs on a real one: make test-gpu
    os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # before anybody imports Numba

import pytest
from simulator import scheduled

from manualbp_kernels.cuda.device import simulated


@pytest.fixture(scope="session")
def torch():
    """PyTorch, for the tests that compare with it live; they are skipped where it is not installed."""
    return pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")


@pytest.fixture
def gpu(monkeypatch):
    """Arrays on a GPU, real or simulated; afterwards kernels are called as by those who have none."""
    module = sys.modules["manualbp_kernels.kernel"]
    monkeypatch.setattr(module, "_only_host", module._only_host)  # put back afterwards
    with scheduled(watch=False) if simulated() else nullcontext():  # thrice as fast as Numba's own threads, and in one order
        yield
