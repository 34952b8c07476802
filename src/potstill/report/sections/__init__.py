"""The sections of a run's page in order. Each is registered here and has a module and a template."""

from potstill.report.run import Section
from potstill.report.sections import (
    accuracy,
    attacks,
    citation,
    confusion,
    costs,
    data,
    exchange,
    gallery,
    labels,
    learning,
    privacy,
    robustness,
    search,
    settings,
    vectors,
)

SECTIONS: tuple[Section, ...] = (
    accuracy.SECTION,
    gallery.SECTION,
    vectors.SECTION,
    exchange.SECTION,
    labels.SECTION,
    privacy.SECTION,
    learning.SECTION,
    confusion.SECTION,
    robustness.SECTION,
    attacks.SECTION,
    search.SECTION,
    costs.SECTION,
    settings.SECTION,
    data.SECTION,
    citation.SECTION,
)
