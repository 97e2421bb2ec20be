"""Settings of the unit tests."""

from __future__ import annotations

import os

# Tiny products only: handing each to several threads takes far longer than computing it. Set before torch is imported,
# and inherited by the command lines that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
