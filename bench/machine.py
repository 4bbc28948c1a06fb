"""Where the times come from: processor, vector extension, versions."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from .turns import CRIPPLING

PACKAGES = {
    "manualbp": "manualbp",
    "torch": "torch",
    "jax": "jax",
    "sklearn": "scikit-learn",
    "numpy": "numpy",
    "numba": "numba",
}
VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sve": "SVE", "asimd": "NEON"}  # widest first


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> dict[str, Any]:
    facts = processor()
    flags = facts.get("flags", facts.get("Features", "")).split()
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "processor": facts.get("model name") or platform.processor() or platform.machine(),
        "cores": cores(),
        "vectors": next((title for flag, title in VECTORS.items() if flag in flags), "unknown"),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "blas": f"{blas['name']} {blas['version']}",
        "versions": {name: version for name, package in PACKAGES.items() if (version := version_of(package))},
        "unset": [name for name in CRIPPLING if name in os.environ],
    }


def processor() -> dict[str, str]:
    """The first core of /proc/cpuinfo, where there is one."""
    path = Path("/proc/cpuinfo")
    first = path.read_text(encoding="utf-8").partition("\n\n")[0] if path.exists() else ""
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def version_of(package: str) -> str | None:
    if package == "manualbp":
        from manualbp.version import __version__

        return __version__
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
