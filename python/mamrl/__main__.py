"""``python -m mamrl``: the command line without its script."""

import sys

from mamrl.cli import main

sys.exit(main())
