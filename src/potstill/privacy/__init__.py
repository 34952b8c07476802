"""Differential privacy: accounting by an established library, and noise that nobody can draw a second time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.privacy.accounting import Mechanism as Mechanism
    from potstill.privacy.accounting import accountant as accountant
    from potstill.privacy.accounting import calibrated as calibrated
    from potstill.privacy.accounting import rounded_up as rounded_up
    from potstill.privacy.accounting import spent as spent
    from potstill.privacy.entropy import gaussian as gaussian
    from potstill.privacy.entropy import poisson_sample as poisson_sample
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
