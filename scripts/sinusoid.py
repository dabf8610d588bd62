"""`metarl sinusoid`, from a checkout."""

import sys

from metarl.commands.sinusoid import main

if __name__ == "__main__":
    sys.exit(main())
