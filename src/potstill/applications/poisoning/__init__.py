"""Poisoning, as a measurement: what a set can be made to do to those who train on it.

- ``backdoor``: whether a patch in some training images survives distillation, and answers to it in trained networks.
- ``malicious_step``: images that make trained networks mistake one class for another by a single step of training.
- ``record``: what a record on file must agree with.
"""
