"""Conformance tests for methods of other packages: ``check_method`` checks what every method must guarantee.

    from potstill.testing import check_method

    def test_my_method():
        check_method(MyMethod, batch_real=16)

It needs no test framework, internet connection or GPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.testing.checks import CHECKS as CHECKS
    from potstill.testing.checks import Case as Case
    from potstill.testing.checks import check_method as check_method
    from potstill.testing.problems import NETWORK as NETWORK
    from potstill.testing.problems import digits as digits
    from potstill.testing.problems import known_entropy as known_entropy
    from potstill.testing.problems import problem as problem
    from potstill.testing.problems import small_digits as small_digits
    from potstill.testing.problems import small_experts as small_experts
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
