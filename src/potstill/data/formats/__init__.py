"""Readers of file formats: from a file that anyone may have written to plain arrays, texts and numbers.

A reader executes nothing that a file contains, allocates nothing just because a file says so, and opens regular files
only. Whatever a damaged file does to a library, the caller sees a :class:`~potstill.runtime.errors.UserError`.
"""
