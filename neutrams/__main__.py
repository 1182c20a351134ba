"""``python -m neutrams`` is ``neutrams``."""

import sys

from neutrams.cli import run

sys.exit(run())
