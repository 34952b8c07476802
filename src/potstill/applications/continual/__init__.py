"""Continual learning: networks learn in stages, and of earlier stages only a small memory is left.

- ``memories``: the memory of several stages as one set; ``set_sources`` says what fills it.
- ``classes``: each step has new classes of one dataset, and networks are trained on the memory alone (GDumb).
- ``domains``, ``domain_course``: each stage is another dataset of the same classes, and networks are trained on.
- ``record``: from the trainings to ``continual.json``.
"""
