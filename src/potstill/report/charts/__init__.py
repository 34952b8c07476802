"""Charts as positions on scales, for templates to draw; they know no record of a run."""
