"""`python -m efficient_sed`: the command line."""

from __future__ import annotations

import sys

from efficient_sed.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
