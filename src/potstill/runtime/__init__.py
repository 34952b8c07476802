"""What everything else stands on: random streams, device and precision, events, files, errors."""
