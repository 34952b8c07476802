"""Readers of file formats: from a file that anyone may have written to plain arrays, texts and numbers.

A reader executes nothing that a file contains, allocates nothing on the word of a file alone, and opens regular files
only. Whatever else a damaged file does to a library, :class:`~potstill.runtime.errors.UserError` is what leaves.
"""
