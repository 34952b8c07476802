"""Choosing a part of a dataset to keep, and measuring what it is worth beside a random part.

- ``candidates``: what may be chosen: the published training images, or images or vectors without labels.
- ``rules``: the rules, and the features that each looks at.
- ``matching``: which row of a file of features is of which of them.
- ``selecting``: the whole of it, from a rule and a budget to ``selection.json`` and the table of what was chosen.
- ``neighbours``: what was not chosen, by its distance to what was.
- ``worth``: networks that are trained on the choice, and on random images.
- ``copies``: a folder with the chosen files.
"""
