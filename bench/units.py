"""Numbers as people read them: three digits and a unit."""

from __future__ import annotations


def duration(seconds: float) -> str:
    return scaled(seconds, (("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)))


def megabytes(count: float) -> str:
    return f"{count / 1e6:.0f} MB"


def scaled(value: float, units: tuple[tuple[str, float], ...]) -> str:
    for unit, size in units:
        if value / size < 999.5 or unit == units[-1][0]:
            return f"{digits(value / size)} {unit}"
    raise ValueError(f"no unit for {value}")


def ratio(value: float) -> str:
    return f"{digits(value, 2)}×"


def digits(value: float, count: int = 3) -> str:
    """So many of them, written out: 1230, 45.6, 7.89, 0.123."""
    rounded = float(f"{value:.{count}g}")
    return f"{rounded:.0f}" if rounded >= 10 ** (count - 1) else f"{rounded:.{count}g}"
