"""`metarl evaluate`, from a checkout."""

import sys

from metarl.commands.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
