"""`metarl benchmark`, from a checkout."""

import sys

from metarl.commands.benchmark import main

if __name__ == "__main__":
    sys.exit(main())
