"""Gradient matching: real and synthetic images pull a network's parameters the same way."""
