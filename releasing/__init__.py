"""What a release has beside its wheel; nothing of it is installed."""
