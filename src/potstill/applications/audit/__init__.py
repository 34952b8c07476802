"""Audits: what networks trained on a set, and the set itself, give away about the images that it was made from.

- ``attacks``: membership inference, from scores of networks to how likely an image is a member.
- ``roc``: how well such scores tell members from other images, and what that proves.
- ``scoring``: one training and its scores, the unit of work.
- ``neighbours``: the nearest training images of synthetic ones.
"""
