"""Applications: comparison, architecture search, continual and federated learning, audits, poisoning, selection.

They are independent of concrete methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.applications.architecture_search.proxies import PROXIES as PROXIES
    from potstill.applications.architecture_search.sample import drawn_space as drawn_space
    from potstill.applications.architecture_search.searching import OnFullData as OnFullData
    from potstill.applications.architecture_search.searching import search as search
    from potstill.applications.architecture_search.spaces import SPACES as SPACES
    from potstill.applications.architecture_search.spaces import space_named as space_named
    from potstill.applications.architecture_search.spaces import specs_of as specs_of
    from potstill.applications.audit.auditing import audit_pipeline as audit_pipeline
    from potstill.applications.comparison import compare as compare
    from potstill.applications.continual.classes import learn_classes as learn_classes
    from potstill.applications.continual.classes import memory_of_bytes as memory_of_bytes
    from potstill.applications.continual.domains import learn_domains as learn_domains
    from potstill.applications.federated.federating import federate as federate
    from potstill.applications.poisoning.backdoor import plant_backdoor as plant_backdoor
    from potstill.applications.poisoning.malicious_step import learn_malicious_step as learn_malicious_step
    from potstill.applications.set_sources import names_set as names_set
    from potstill.applications.subset.candidates import Candidates as Candidates
    from potstill.applications.subset.rules import BY_FEATURES as BY_FEATURES
    from potstill.applications.subset.rules import RULES as RULES
    from potstill.applications.subset.rules import Rule as Rule
    from potstill.applications.subset.selecting import check_unlabelled as check_unlabelled
    from potstill.applications.subset.selecting import select as select
    from potstill.applications.subset.worth import Judging as Judging
    from potstill.schema.audit import Audit as Audit
    from potstill.schema.audit import AuditProtocol as AuditProtocol
    from potstill.schema.comparison import Comparison as Comparison
    from potstill.schema.continual import ClassProtocol as ClassProtocol
    from potstill.schema.continual import Continual as Continual
    from potstill.schema.continual import DomainProtocol as DomainProtocol
    from potstill.schema.federated import Averaging as Averaging
    from potstill.schema.federated import Federated as Federated
    from potstill.schema.federated import FederatedProtocol as FederatedProtocol
    from potstill.schema.federated import Partition as Partition
    from potstill.schema.poisoning import BackdoorProtocol as BackdoorProtocol
    from potstill.schema.poisoning import Poisoning as Poisoning
    from potstill.schema.poisoning import StepProtocol as StepProtocol
    from potstill.schema.search import SearchResult as SearchResult
    from potstill.schema.subset import Budget as Budget
    from potstill.schema.subset import Subset as Subset
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
