"""Conformance tests for methods of other packages: ``check_method`` checks what every method must guarantee.

    from potstill.testing import check_method

    def test_my_method():
        check_method(MyMethod, batch_real=16)

It needs no test framework, internet connection or GPU.
"""

from potstill.testing.checks import CHECKS, Case, check_method
from potstill.testing.problems import NETWORK, digits, problem, small_digits, small_experts

__all__ = [
    "CHECKS",
    "NETWORK",
    "Case",
    "check_method",
    "digits",
    "problem",
    "small_digits",
    "small_experts",
]
