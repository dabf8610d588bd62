"""Writes digests of what small runs learn, to the last bit:
python scripts/golden.py tests/golden/learning.json. A test makes them anew and compares; only a change
that is meant to change numbers writes the file again, and says so."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

SAME_ARITHMETIC = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "DNNL_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Haswell",
}
"""Makes the libraries calculate alike on every x86-64 processor; they read it when they are loaded."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="the file to write")
    parser.add_argument("names", nargs="*", help='of the runs, e.g. "resumed" "adapted" (all)')
    arguments = parser.parse_args()
    runs = [str(Path(__file__).with_name("golden_runs.py")), str(arguments.output), *arguments.names]
    command = [sys.executable, *runs]
    return subprocess.run(command, env={**os.environ, **SAME_ARITHMETIC}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
