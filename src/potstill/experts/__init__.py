"""Experts: networks trained on the real images, their features, and the difficulty of images for them."""
