"""Where images come from: one file per kind of source, all of which give the same :class:`RawDataset`."""
