"""Unrolled optimisation: the gradient goes back through the steps of training itself."""
