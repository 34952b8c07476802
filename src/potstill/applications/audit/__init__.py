"""Audits: what networks trained on a set, and the set itself, give away about the images that it was made from.

- ``auditing``: the whole of an audit, from a source to ``audit.json``.
- ``pool``: the images that are asked about, and who is a member of which pipeline.
- ``pipelines``: what is audited: a run, whose settings are repeated, a method, or a finished set.
- ``scoring``: one training and its scores, the unit of work.
- ``attacks``: membership inference, from scores to how likely an image is a member.
- ``roc``: how well such scores tell members from other images, and what that proves.
- ``judging``: from all scores to the results of every attack.
- ``neighbours``: the nearest training images of synthetic ones.
"""
