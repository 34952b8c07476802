"""Papers that more than one method is from."""

from __future__ import annotations

from potstill.methods.base import Citation

GRADIENT_MATCHING = Citation(
    title="Dataset Condensation with Gradient Matching",
    authors="Zhao, Bo and Mopuri, Konda Reddy and Bilen, Hakan",
    venue="International Conference on Learning Representations (ICLR)",
    year=2021,
    url="https://arxiv.org/abs/2006.05929",
    key="zhao2021dc",
)
"""The method, and the table of selections that others quote."""

DATASET_DISTILLATION = Citation(
    title="Dataset Distillation",
    authors="Wang, Tongzhou and Zhu, Jun-Yan and Torralba, Antonio and Efros, Alexei A.",
    venue="arXiv preprint",
    year=2018,
    url="https://arxiv.org/abs/1811.10959",
    key="wang2018dd",
)
"""The method, and its baselines."""

DATA_DIET = Citation(
    title="Deep Learning on a Data Diet: Finding Important Examples Early in Training",
    authors="Paul, Mansheej and Ganguli, Surya and Dziugaite, Gintare Karolina",
    venue="Advances in Neural Information Processing Systems (NeurIPS)",
    year=2021,
    url="https://arxiv.org/abs/2107.07075",
    key="paul2021datadiet",
)
"""Two scores of difficulty."""
