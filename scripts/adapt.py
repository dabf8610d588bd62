"""`metarl adapt`, from a checkout."""

import sys

from metarl.commands.adapt import main

if __name__ == "__main__":
    sys.exit(main())
