"""The commands, in a process in which every iteration of dm takes a tenth of a second and nearly no computing.

A run of it is interrupted before its end on any machine, and soon done where it goes on.
"""

from __future__ import annotations

import sys
import time
from typing import Any
from unittest.mock import patch

from potstill.cli import main
from potstill.methods import DM

STEP = DM.step


def slowed(*given: Any) -> Any:
    """A step, after a while."""
    time.sleep(0.1)
    return STEP(*given)


if __name__ == "__main__":
    with patch.object(DM, "step", slowed):
        sys.exit(main())
