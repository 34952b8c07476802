"""``python -m benchmarks``: every benchmark with its own settings; see each module for its options."""

from benchmarks import at_once, evaluation, gradients, matching, trajectories

if __name__ == "__main__":
    matching.main([])
    gradients.main([])
    trajectories.main([])
    at_once.main([])
    evaluation.main([])
