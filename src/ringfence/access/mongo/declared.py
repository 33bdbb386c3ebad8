"""What is declared of a collection, as conditions on the fields of its documents."""

from __future__ import annotations

from typing import Any

from ringfence.access.ownership.conditions import (
    Condition,
    Has,
    Holds,
    Is,
    Subject,
    TableRule,
    all_of,
    any_of,
)
from ringfence.access.ownership.rules import (
    Declared,
    Matching,
    Owner,
    RowRule,
    Tenant,
    said_of,
)
from ringfence.access.policy import AllOf, AnyOf, Policy
from ringfence.errors import DeclarationError


def rule_of(name: str, declared: Declared) -> TableRule:
    """Return what is enforced on one collection.

    Args:
        name: of the collection.
        declared: whose its documents are.

    Raises:
        TypeError: not a rule.
        DeclarationError: the rule leads to another collection, which no filter of
            MongoDB can do.
    """
    said = said_of(f"the collection {name}", declared)
    return TableRule(
        name,
        name,
        _condition(name, said.read),
        _condition(name, said.write),
        (str(said.read), str(said.write)),
        key=("_id",),
    )


def _condition(name: str, policy: Policy) -> Condition:
    match policy:
        case Owner(path):
            return Is(path, Subject.ID)
        case Tenant(path):
            return Is(path, Subject.TENANT)
        case Matching(values):
            return all_of(Has(field, value) for field, value in values)
        case AllOf(parts):
            return all_of(_condition(name, part) for part in parts)
        case AnyOf(parts):
            return any_of(_condition(name, part) for part in parts)
        case RowRule():  # ``through``
            raise DeclarationError(
                f"the collection {name}: {policy} leads to another collection, and a "
                "filter of MongoDB cannot follow it; keep the owner's id in each "
                'document, and write access.owner("owner_id")'
            )
        case _:
            return Holds(policy)


def names_of(collections: Any) -> None:
    """Refuse what is not names of collections, each with a rule.

    Raises:
        TypeError: see above.
    """
    if not isinstance(collections, dict) or not all(
        isinstance(name, str) and name for name in collections
    ):
        raise TypeError(
            "OwnedDatabase takes the collections by name, each with whose its "
            'documents are: {"orders": access.owner("owner_id")}'
        )
