"""Timings and accident campaigns, run by hand. A package, so that no installed one of this name is taken for it."""
