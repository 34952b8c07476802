"""Sets that other programs wrote, as synthetic sets.

- ``released``: what is in the files of released programs: images, labels, perhaps a step size.
- ``archives``: the same of ``.npz`` archives, our own among them.
- ``logged``: the set in the folder of a run.
- ``folder``: folders of image files, a folder for each class; tables of images or vectors.
- ``classes``: which class of the dataset each label is.
- ``units``: the units of pixels, which files do not state: converted, and checked for what they look like.
- ``importing``: from a path to a set, and what was noticed.
"""
