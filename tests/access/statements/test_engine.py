"""What the check says is compared with what SQLite does."""

import sqlite3
from contextlib import suppress
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.access.statements.shopfront import RULES, VIEW

from ringfence.access.statements.check import StatementCheck
from ringfence.access.statements.verdicts import Bound, Either

TABLES = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, owner_id TEXT, note TEXT, total INTEGER);
CREATE TABLE lines (id INTEGER PRIMARY KEY, order_id INTEGER, name TEXT);
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, price INTEGER);
INSERT INTO orders VALUES
    (1, 'me', 'a', 1), (2, 'you', 'you', 0), (3, 'me', 'me', 0), (4, 'you', 'me', 1),
    (5, NULL, 'b', NULL), (6, 'ME', 'a', 6);
INSERT INTO lines VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'me'), (4, 4, 'you');
INSERT INTO products VALUES (1, 'me', 1), (2, 'you', 2);
"""
COLUMNS = {
    "orders": ("id", "owner_id", "note", "total", "owner_id"),
    "lines": ("id", "order_id", "name"),
    "products": ("id", "name", "price"),
    "both": ("id", "owner_id", "order_id", "owner_id"),
}
MINE = {"orders": {1, 3}, "lines": {1, 3}, "products": {1, 2}, "both": {1, 3}}
VALUES = ("me", "you", "ME", "a", 1, 2, 3, 4, 0, None)
TAILS = (
    *([""] * 8),
    " COLLATE NOCASE",
    " IS NOT NULL",
    " IS NULL",
    " NOT NULL",
    " = 1",
    " = ?",
    " || ''",
    " < 3",
)
CHECK = StatementCheck(RULES, "sqlite")


class Writer:
    """Writes statements, most of them odd, by dice."""

    def __init__(self, dice):
        self.dice = dice

    def of(self, *choices):
        return self.dice.choice(choices)

    def column(self, sources):
        name, table = self.dice.choice(sources)
        column = self.of(*COLUMNS[table])
        return self.of(f"{name}.{column}", f"{name}.{column}", column, f'"{column}"')

    def value(self, sources):
        column = self.column(sources)
        return self.of("?", "?", "?", "?", column, column, "'me'", "1", "0", "NULL")

    def comparison(self, sources):
        orders = [name for name, table in sources if table == "orders"]
        if orders and self.dice.random() < 0.5:
            return f"{self.of(*orders)}.owner_id = ?{self.of(*TAILS)}"
        sign = self.of("=", "=", "==", "<>", ">", "IS", "IS NOT", "LIKE")
        left = self.of(self.column(sources), self.value(sources))
        return f"{left} {sign} {self.value(sources)}{self.of(*TAILS)}"

    def condition(self, sources, depth=2):
        if not depth:
            return self.comparison(sources)
        one = self.condition(sources, depth - 1)
        other = self.condition(sources, depth - 1)
        return self.of(
            one,
            f"{one} AND {other}",
            f"{one} AND {other}",
            f"({one} AND {other})",
            f"{one} OR {other}",
            f"({one} OR {other})",
            f"NOT {one}",
            f"{self.column(sources)} IN (?, {self.value(sources)})",
            f"{self.column(sources)} BETWEEN {self.value(sources)} AND {other}",
            f"CASE WHEN {one} THEN {other} ELSE 0 END",
            self.subquery(sources, depth),
            self.subquery(sources, depth),
        )

    def subquery(self, sources, depth):
        name, table = self.of(("o2", "orders"), ("l2", "lines"), ("p2", "products"))
        every = [*sources, (name, table)]
        inner = self.of(every, every[-1:])
        links = [
            f"{one}.order_id = {other}.id AND "
            for one, left in every
            for other, right in every
            if left == "lines" and right == "orders"
        ]
        link = self.of("", *links)
        chosen = self.of("1", "*", "count(*)", f"{name}.id", f"{name}.id")
        where = f"{link}{self.condition(inner, depth - 1)}"
        query = f"(SELECT {chosen} FROM {table} AS {name} WHERE {where})"
        told = self.of("EXISTS", "EXISTS", "NOT EXISTS", "IN", "IN")
        return (
            f"{told} {query}" if "E" in told else f"{self.column(sources)} IN {query}"
        )

    def tables(self):
        sources = []
        text = ""
        for place in range(self.of(1, 1, 2, 2, 3)):
            table = self.of("orders", "orders", "lines", "products", "both")
            sources.append((f"t{place}", table))
            named = f"{self.derived(table)} AS t{place}"
            if not place:
                text = named
                continue
            join = self.of(
                "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", ",", "CROSS JOIN"
            )
            on = "" if join == "," else f" ON {self.link(sources)}"
            text += f" {join} {named}{on}"
        return text, sources

    def derived(self, table):
        """Return a table, or a subquery of its rows; of two tables always one."""
        if table == "both":
            join = self.of("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
            sources = [("l", "lines"), ("o", "orders")]
            on = self.of("l.order_id = o.id", self.link(sources))
            key = self.of("l.id", "l.id", "o.id")
            owner = self.of("o.owner_id", "o.owner_id", "l.name")
            chosen = f"{key} AS id, {owner} AS owner_id, {self.of('l', 'o')}"
            chosen += ".id AS order_id"
            text = f"{chosen} FROM lines AS l {join} orders AS o ON {on}"
        elif table == "products" or self.dice.random() < 0.7:
            return table
        else:
            sources = [("d", table)]
            columns = dict.fromkeys(COLUMNS[table])
            told = [f"d.{self.of(name, name, name, *columns)}" for name in columns]
            named = zip(["d.id", *told[1:]], columns, strict=True)
            chosen = ", ".join(f"{one} AS {name}" for one, name in named)
            text = f"{chosen} FROM {table} AS d"
        if self.dice.random() < 0.3:
            text += f" WHERE {self.condition(sources, 1)}"
        tail = self.of("", "", "", "", " LIMIT 2", " GROUP BY 2", " ORDER BY 1")
        return f"(SELECT {self.of('', '', '', 'DISTINCT ')}{text}{tail})"

    def link(self, sources):
        links = [
            f"{one}.order_id = {other}.id"
            for one, left in sources
            for other, right in sources
            if left == "lines" and right == "orders"
        ]
        said = self.condition(sources, 1)
        return self.of(said, *links, *(f"{link} AND {said}" for link in links))

    def select(self):
        tables, sources = self.tables()
        found = ", ".join(f"{name}.id" for name, _ in sources)
        tail = self.of("", "", " ORDER BY 1", " LIMIT 3", " GROUP BY t0.id")
        return f"SELECT {found} FROM {tables} WHERE {self.condition(sources)}{tail}", [
            table for _, table in sources
        ]

    def change(self):
        sources = [("orders", "orders")]
        setting = self.of("note = ?", "owner_id = ?", "owner_id = note", "total = id")
        where = self.condition(sources)
        return self.of(
            f"UPDATE orders SET {setting} WHERE {where}",
            f"DELETE FROM orders WHERE {where}",
            "INSERT INTO orders (owner_id, note) SELECT "
            f"{self.of('owner_id, note', '?, note', 'note, ?')} FROM orders "
            f"WHERE {where}",
            f"INSERT INTO orders (owner_id, note) {self.added()}",
            f"INSERT INTO orders (owner_id, note) {self.added()}",
        )

    def added(self):
        """Return rows of tables and subqueries: with an owner bound, or theirs."""
        tables, sources = self.tables()
        if self.dice.random() < 0.4:
            on = self.of("", f" ON {self.link(sources)}")
            join = self.of("JOIN", "LEFT JOIN", "RIGHT JOIN", ",") if on else ","
            bound = "(SELECT ? AS owner_id, id AS id, ? AS note FROM orders AS o9"
            bound += f"{self.of('', ' WHERE owner_id = ?')}) AS bound"
            tables = f"{tables} {join} {bound}{'' if join == ',' else on}"
            owner = "bound.owner_id"
        else:
            column = self.column(sources)
            owner = self.of("?", "? AS who", column, f"{column} AS x", f"max({column})")
        note = self.of("'n'", "?", "count(*)", "t0.id AS y")
        where = self.of("", f" WHERE {self.condition(sources)}")
        text = f"SELECT {owner}, {note} FROM {tables}{where}"
        if self.dice.random() < 0.2:
            other = self.of("?, 'u'", "owner_id, 'u' FROM orders WHERE owner_id = ?")
            text += f" {self.of('UNION', 'UNION ALL', 'EXCEPT')} SELECT {other}"
        return text


def values_for(demands, text, dice):
    """Return values that meet some demands, and are anything elsewhere; ``None`` where
    two of them contradict each other."""
    values = [dice.choice(VALUES) for _ in range(text.count("?"))]
    met = {}
    for demand in flat(demands, dice):
        if isinstance(demand, Bound):
            key, value = demand.key, "me"
        else:
            (key,), value = demand.keys, dice.choice(sorted(MINE[demand.table]))
        if met.setdefault(key, value) != value:
            return None
        values[key] = value
    return values


def flat(demands, dice):
    """Return demands in which of several ways one is chosen."""
    for demand in demands:
        if isinstance(demand, Either):
            yield from flat(dice.choice(demand.groups), dice)
        else:
            yield demand


def connected():
    database = sqlite3.connect(":memory:")
    database.executescript(TABLES)
    return database


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_only_own_rows_are_read(seed):
    """Whatever a statement of which the check has no objection says, it finds nothing
    that is another's."""
    dice = Random(seed)
    text, tables = Writer(dice).select()
    said = CHECK.verdict(text, VIEW)
    if said.objection:
        return
    values = values_for(said.demands, text, dice)
    if values is None:
        return
    database = connected()
    try:
        rows = database.execute(text, values).fetchall()
    except sqlite3.Error:
        return
    finally:
        database.close()
    for row in rows:
        for table, key in zip(tables, row, strict=True):
            assert key is None or key in MINE[table], (text, values)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_only_own_rows_are_changed(seed):
    """Likewise it changes nothing that is another's, and makes nothing another's."""
    dice = Random(seed)
    text = Writer(dice).change()
    said = CHECK.verdict(text, VIEW)
    if said.objection:
        return
    values = values_for(said.demands, text, dice)
    if values is None:
        return
    database = connected()
    before = dict(database.execute("SELECT id, owner_id || note FROM orders"))
    others = {key: before[key] for key in before.keys() - MINE["orders"]}
    with suppress(sqlite3.Error):
        database.execute(text, values)
    after = dict(database.execute("SELECT id, owner_id || note FROM orders"))
    owners = dict(database.execute("SELECT id, owner_id FROM orders"))
    database.close()
    assert others.items() <= after.items(), (text, values)
    kept = {owners[key] for key in owners.keys() - others.keys()}
    assert kept <= {"me"}, (text, values)
