"""`metarl train`, from a checkout."""

import sys

from metarl.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
