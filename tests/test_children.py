"""No process that a test starts outlives it."""

from __future__ import annotations

import subprocess

import pytest

from tests.children import PRCTL, child

SLEEP = "import time; print('asleep', flush=True); time.sleep(60)"
PARENT = f"""
from tests.children import child
with child("-c", {SLEEP!r}) as sleeping:
    sleeping.wait()
"""


def test_a_child_ends_with_its_context():
    with pytest.raises(ValueError, match="a test fails"), child("-c", SLEEP) as sleeping:
        raise ValueError("a test fails")
    assert sleeping.returncode == -9


@pytest.mark.skipif(PRCTL is None, reason="needs Linux")
def test_a_child_ends_with_a_parent_that_is_killed():
    with child("-c", PARENT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "asleep\n"
        parent.kill()
        # The sleeper has inherited the pipe: it ends only when both are gone.
        assert parent.communicate(timeout=30) == ("", None)
