"""The tests run inside the lab; see lab/pytest_plugin.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lab.pytest_plugin import *  # noqa: E402,F401,F403
