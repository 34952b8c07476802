"""The engine: training networks, extracting their features, and differentiating through their training.

Everything here is fast, and its bits do not depend on the number of cores.

- ``schedule``, ``fit``: how a network is trained, and the loop that does it.
- ``trainer``: a network that ``fit`` trains; ``stacked``: several, in step, for devices that one leaves idle.
- ``chunked``: a network that takes batches in parts; ``layout``: their sizes, and device, precision and strides.
- ``features``: the descriptors of many images under one network.
- ``unrolling``: steps of gradient descent, and the gradient through them.

It imports ``synthetic``, ``networks``, ``augmentation``, ``data``, ``schema`` and ``runtime``.
"""
