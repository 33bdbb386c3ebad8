"""Tables of Markdown, and what differs between two."""

import pytest

from ringfence.guard.tables import changes, written

COLUMNS = ("Route", "Policy", "anonymous", "clerk")
ORDERS = ("/orders GET", "signed_in | role(clerk)", "401", "yes")
STAFF = ("/staff GET", "role(clerk)", "401", "yes")


def table(*rows, columns=COLUMNS, heading="Routes"):
    return f"## {heading}\n\n{written(columns, rows)}"


KEPT = table(ORDERS, STAFF)


def test_rows_stand_in_an_order_of_their_own():
    assert table(STAFF, ORDERS, ORDERS) == KEPT
    assert "| signed_in \\| role(clerk) |" in KEPT
    assert list(changes(KEPT, KEPT)) == []


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            table(ORDERS, ("/staff GET", "public", "yes", "yes")),
            [
                "/staff GET: Policy: public instead of role(clerk)",
                "/staff GET: anonymous: yes instead of 401",
            ],
        ),
        (
            table(("/orders GET", "role(clerk)", "401", "yes"), STAFF),
            ["/orders GET: Policy: role(clerk) instead of signed_in | role(clerk)"],
        ),
        (table(ORDERS), ["/staff GET: gone, was Policy: role(clerk); anonymous: 401"]),
        (
            table(ORDERS, STAFF, ("/x GET", "public", "yes", "yes")),
            ["/x GET: new, Policy: public; anonymous: yes; clerk: yes"],
        ),
        (
            table(STAFF, ORDERS, ("/staff GET", "public", "yes", "yes")),
            ["/staff GET (2): new, Policy: role(clerk); anonymous: 401"],
        ),
        (
            KEPT + table(("admin", "clerk"), columns=("Role", "Is"), heading="Roles"),
            ["admin: new, Is: clerk"],
        ),
        (
            table(ORDERS[:3], STAFF[:3], columns=COLUMNS[:3]),
            ["clerk: a column that is gone"],
        ),
        (
            table((*ORDERS, "no"), (*STAFF, "no"), columns=(*COLUMNS, "boss")),
            ["boss: a new column"],
        ),
        ("", ["/orders GET: gone", "/staff GET: gone"]),
        ("## Routes\n| / |\n|||||\n", ["/orders GET: gone"]),
    ],
)
def test_what_differs_is_named(made, said):
    found = list(changes(KEPT, made))
    for text in said:
        assert [line for line in found if line.startswith(text)], found
    assert bool(found) is (made != KEPT)
