"""`python -m vbref` is `vbref`."""

import sys

from vbref.cli import main

if __name__ == "__main__":
    sys.exit(main())
