"""Architecture search: networks are ranked by what costs little, and a few are trained on the full data.

- ``spaces``: the candidates, by name.
- ``proxies``: what they are ranked by: a set, as many real images, a short training on the full data.
- ``sample``: which of them are trained on the full data whatever their rank.
- ``searching``: the search, and ``search.json``.
"""
