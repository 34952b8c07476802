"""Units of work as values, and who does them: this process, or several others.

Every costly thing is a set of independent units, most of them trainings of one network. A unit names what it needs by
its content, so its result does not depend on where, when or in which order it is done, and is never computed twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.units.collected import Collected as Collected
    from potstill.units.crew import Crew as Crew
    from potstill.units.executors import Work as Work
    from potstill.units.executors import crew_by as crew_by
    from potstill.units.log import UnitLog as UnitLog
    from potstill.units.runner import Job as Job
    from potstill.units.runner import Runner as Runner
    from potstill.units.runner import runner_by as runner_by
    from potstill.units.unit import Unit as Unit
    from potstill.units.workplace import Materials as Materials
    from potstill.units.workplace import Workplace as Workplace
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
