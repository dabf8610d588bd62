"""`python -m metarl train ...`, as the command `metarl`."""

from __future__ import annotations

import sys

from metarl.command import main

if __name__ == "__main__":
    sys.exit(main())
