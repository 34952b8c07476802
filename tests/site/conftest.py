"""The site that the tests read: what `make docs` built, or a new one where that is older than what it is made of."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "site"
MADE_OF = (
    "*.md",
    "docs/**/*",
    "records/**/*",
    "src/**/*.py",
    ".ci/build-site",
    "pyproject.toml",
    "constraints-docs.txt",
)


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the site, built without a warning; a build takes about a minute."""
    pytest.importorskip("furo", reason="no Sphinx here: make docs installs it")
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process builds, the others wait
        if not is_current():
            command = [ROOT / ".ci" / "build-site", sys.executable]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
    return SITE


def is_current() -> bool:
    """Whether the site was built, to its end, after the last change of anything that it is made of."""
    built = SITE / ".complete"
    if not built.exists():
        return False
    files = (path for pattern in MADE_OF for path in ROOT.glob(pattern) if "__pycache__" not in path.parts)
    return all(path.stat().st_mtime <= built.stat().st_mtime for path in files if path.is_file())
