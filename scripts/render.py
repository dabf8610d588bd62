"""`metarl render`, from a checkout."""

import sys

from metarl.commands.render import main

if __name__ == "__main__":
    sys.exit(main())
