"""What several tests need."""

import pytest


@pytest.fixture(scope="session")
def torch():
    """PyTorch, for the tests that compare with it live; they are skipped where it is not installed."""
    return pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")
