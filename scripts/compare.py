"""`metarl compare`, from a checkout."""

import sys

from metarl.commands.compare import main

if __name__ == "__main__":
    sys.exit(main())
