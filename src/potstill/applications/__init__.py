"""Applications of distilled sets: comparison and architecture search. Independent of concrete methods."""

from potstill.applications.architecture_search import SPACES, SearchResult, search
from potstill.applications.comparison import compare

__all__ = ["SPACES", "SearchResult", "compare", "search"]
