"""Trajectory matching: training on the synthetic images leads where training on the real ones led."""
