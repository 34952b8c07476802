"""Networks at work: extracting features from many images, and fitting to few or many."""
