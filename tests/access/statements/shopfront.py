"""Tables of a small shop, with rules, for the tests of statements."""

from ringfence.access.ownership.conditions import (
    ALWAYS,
    NEVER,
    Has,
    Is,
    Linked,
    Subject,
    TableRule,
    all_of,
    any_of,
)
from ringfence.access.ownership.views import View

OWN = Is("owner_id", Subject.ID)
OF_ORDER = Linked("orders", (("order_id", "id"),), OWN)
OF_TAG = Linked("tags", (("tag_id", "id"),), OWN)
IN_TENANT = Is("tenant_id", Subject.TENANT)


def rule(table, read, write=None, *, key=("id",), columns=(), **more):
    """Return a rule whose ``write`` is as ``read`` unless it is given."""
    return TableRule(
        table,
        table.title(),
        read,
        read if write is None else write,
        ("", ""),
        key,
        frozenset(columns),
        **more,
    )


RULES = (
    rule("orders", OWN, columns=("id", "owner_id", "note", "total")),
    rule("lines", OF_ORDER, columns=("id", "order_id", "name")),
    rule("tags", OWN, columns=("id", "owner_id", "name")),
    rule(
        "order_tags",
        all_of((OF_ORDER, OF_TAG)),
        key=("order_id", "tag_id"),
        columns=("order_id", "tag_id"),
        is_link=True,
    ),
    rule(
        "rush_orders",
        Linked("orders", (("id", "id"),), OWN),
        columns=("id", "speed"),
        parent="orders",
    ),
    rule("products", ALWAYS, NEVER, columns=("id", "name", "price")),
    rule(
        "invoices",
        any_of((OWN, IN_TENANT)),
        columns=("id", "owner_id", "tenant_id", "total"),
    ),
    rule(
        "posts",
        any_of((OWN, Has("published", value=True))),
        OWN,
        columns=("id", "owner_id", "published", "body"),
    ),
    rule("secrets", NEVER, columns=("id", "body")),
    rule(
        "shop.parcels",
        OWN,
        columns=("id", "owner_id", "weight"),
        key=("id", "owner_id"),
    ),
)


def view_of(rules):
    """Return the view of somebody with an id and a tenant, and no policy in between."""
    return View(
        {one.table: one.read for one in rules},
        {one.table: all_of((one.read, one.write)) for one in rules},
        {one.table: one.write for one in rules},
    )


VIEW = view_of(RULES)


# A second set: rules that are seldom, each in a table of its own.
SELDOM = (
    rule("orders", OWN, columns=("id", "owner_id", "note")),
    rule(
        "drafts",
        all_of((OWN, Has("sent", value=False))),
        columns=("id", "owner_id", "sent"),
    ),
    rule("lost", Has("owner_id", None), columns=("id", "owner_id")),
    rule("kinds", Has("kind", "open"), columns=("id", "kind")),
    rule("counted", Has("level", 3), columns=("id", "level")),
    rule(
        "shared",
        any_of((OWN, all_of((IN_TENANT, Has("open", value=True))))),
        columns=("id", "owner_id", "tenant_id", "open"),
    ),
    rule(
        "either_way",
        any_of((OWN, OF_ORDER)),
        columns=("id", "owner_id", "order_id"),
    ),
    rule(
        "near_anything",
        Linked("topics", (("topic_id", "id"),), ALWAYS),
        columns=("id", "topic_id"),
    ),
    rule("topics", ALWAYS, columns=("id",)),
    rule("pairs", OWN, key=("a", "b"), columns=("a", "b", "owner_id")),
    rule(
        "parts",
        Linked("pairs", (("pair_a", "a"), ("pair_b", "b")), OWN),
        columns=("id", "pair_a", "pair_b"),
    ),
    rule(
        "far",
        Linked("lines", (("line_id", "id"),), OF_ORDER),
        columns=("id", "line_id"),
    ),
    rule("lines", OF_ORDER, columns=("id", "order_id")),
    rule(
        "strangers",
        Linked("orders", (("order_id", "id"),), IN_TENANT),
        columns=("id", "order_id"),
    ),
    rule("bare", OWN, key=()),
)
SELDOM_VIEW = view_of(SELDOM)
