"""Experts: networks trained on the real images, what they know, and how hard images are for them."""
