"""`metarl diagnose`, from a checkout."""

import sys

from metarl.command import run

if __name__ == "__main__":
    sys.exit(run("diagnose"))
