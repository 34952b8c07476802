"""Federated learning: clients keep their images, and a server learns from what each of them sends.

- ``partitions``: which training image is at which client.
- ``clients``: the shares of the clients, what each is to send, and the union of several sets.
- ``sending``: the sets that clients make and send, in several ways.
- ``refining``: several rounds of sets, matched near the server's weights, as in FedDM.
- ``averaging``: FedAvg, where weights are sent instead of images, for comparison.
- ``federating``: all ways to learn, measured in one record.
- ``record``: from the trainings to ``federated.json``.
"""
