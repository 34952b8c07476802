"""Coresets: which real images to keep. Every selection returns indices."""

from potstill.selection.random import random_indices

__all__ = ["random_indices"]
