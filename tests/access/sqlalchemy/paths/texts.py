"""Statements that somebody wrote by hand, and fragments of them in statements that
nobody did."""

from __future__ import annotations

from sqlalchemy import (
    bindparam,
    column,
    func,
    literal_column,
    select,
    text,
    true,
    union_all,
    update,
)
from tests.access.sqlalchemy.models import Note, Order, Product
from tests.access.sqlalchemy.paths.table import reads, writes

WHOLE, PART = "text", "fragment of text"
whole = reads(WHOLE, honest=False)
part = reads(PART)
PG, LITE = ("postgresql",), ("sqlite",)


def said(name, statement, *, dialects=(*PG, *LITE), tells=False):
    """A statement whose text is all there is to it; ``:id`` is the foreign key,
    ``:me`` and ``:them`` are owners. ``tells``: a row tells that there is another."""

    def run(s, w):
        told = text(statement)
        given = {"id": w.id("order"), "me": "ann", "them": w.person}
        used = {key: given[key] for key in given if f":{key}" in statement}
        found = s.execute(told, used).all()
        return w.told(any(row[0] for row in found)) if tells else found

    reads(WHOLE, name, honest=False, dialects=dialects)(run)


@whole
def text_(s, w):
    return s.execute(text("SELECT * FROM orders")).all()


@whole
def text_with_columns(s, w):
    told = text("SELECT id, secret FROM orders").columns(Order.id, Order.secret)
    return s.execute(told).all()


@whole
def text_with_columns_in_a_subquery(s, w):
    told = text("SELECT id, secret FROM orders").columns(Order.id, Order.secret)
    return s.execute(select(told.subquery().c.secret)).all()


@whole
def entities_of_text(s, w):
    return s.scalars(select(Order).from_statement(text("SELECT * FROM orders"))).all()


@whole
def literal_column_of_text(s, w):
    return s.scalars(select(literal_column("secret")).select_from(text("orders"))).all()


@whole
def text_selected(s, w):
    return s.execute(select(text("secret FROM orders"))).all()


@whole
def driver_statement(s, w):
    return s.connection().exec_driver_sql("SELECT secret FROM orders").all()


@whole
def driver_statement_with_parameters(s, w):
    mark = {"sqlite": "?", "psycopg": "%s", "asyncpg": "$1"}[w.driver]
    told = f"SELECT secret FROM orders WHERE id = {mark}"
    return s.connection().exec_driver_sql(told, (w.id("order"),)).all()


@whole
def text_of_a_function(s, w):
    told = select(func.coalesce(text("(SELECT max(secret) FROM orders)"), "x"))
    return s.execute(told).all()


said("text by key", "SELECT secret FROM orders WHERE id = :id")
said("text in capitals", "SELECT SECRET FROM ORDERS")
said("text with a quoted name", 'SELECT "secret" FROM "orders"')
said("text with a schema", "SELECT secret FROM main.orders", dialects=LITE)
said("text with a schema of its own", "SELECT secret FROM public.orders", dialects=PG)
said("text with brackets", "SELECT secret FROM [orders]", dialects=LITE)
said("text with backticks", "SELECT secret FROM `orders`", dialects=LITE)
said("text with quotes of strings", "SELECT secret FROM 'orders'", dialects=LITE)
said("text with comments", "SELECT secret FROM/**/orders/* WHERE owner_id = 'ann' */")
said(
    "text with a line of comment",
    "SELECT secret FROM orders -- x\n -- WHERE owner_id = 'ann'",
)
said("text with blanks", "SELECT\n\tsecret\n\tFROM\n\torders\n")
said("text with a semicolon", "SELECT secret FROM orders;")
said(
    "text with the owner of another",
    "SELECT secret FROM orders WHERE owner_id = :them",
)
said(
    "text with an or",
    "SELECT secret FROM orders WHERE owner_id = :me OR 1 = 1",
)
said(
    "text with an or and no brackets",
    "SELECT secret FROM orders WHERE id = :id OR id = 'x' AND owner_id = :me",
)
said(
    "text with the owner in the wrong place",
    "SELECT secret FROM orders WHERE (SELECT count(*) FROM products"
    " WHERE :me = :me) > 0",
)
said(
    "text with the owner as a string",
    "SELECT secret FROM orders WHERE 'owner_id' = 'owner_id' AND 'ann' = :me",
)
said(
    "text with the owner's column of another table",
    "SELECT orders.secret FROM orders, products"
    " WHERE products.owner_id = 'bea' OR products.owner_id = :me",
)
said(
    "text with a condition that is null",
    "SELECT secret FROM orders WHERE coalesce(owner_id = :me, true) OR true",
)
said(
    "text with the owner negated",
    "SELECT secret FROM orders WHERE NOT (owner_id = :me AND 1 = 0)",
)
said(
    "text with the owner in a case",
    "SELECT secret FROM orders WHERE CASE WHEN owner_id = :me THEN 1 ELSE 1 END = 1",
)
said(
    "text with the owner compared twice",
    "SELECT secret FROM orders WHERE (owner_id = :me) IN (true, false)",
)
said(
    "text with the owner compared with a pattern",
    "SELECT secret FROM orders WHERE owner_id LIKE '%' AND :me = 'ann'",
)
said("text of a subquery", "SELECT secret FROM (SELECT * FROM orders) AS o")
said(
    "text of a subquery that renames its columns",
    "SELECT o.s FROM (SELECT secret AS s, :me AS owner_id FROM orders) AS o"
    " WHERE o.owner_id = :me",
)
said(
    "text of an alias that hides a table",
    "SELECT orders.secret FROM products, orders AS o, (SELECT secret, id FROM orders)"
    " AS orders WHERE o.owner_id = :me",
)
said(
    "text of a common table expression",
    "WITH x AS (SELECT * FROM orders) SELECT secret FROM x WHERE owner_id = owner_id",
)
said(
    "text of an expression that hides a table",
    "WITH products AS (SELECT * FROM orders) SELECT secret FROM products",
)
said(
    "text of an expression named like the table",
    "WITH orders AS (SELECT secret, :me AS owner_id FROM orders)"
    " SELECT secret FROM orders WHERE owner_id = :me",
    dialects=PG,
)
said(
    "text of a union",
    "SELECT secret FROM products UNION SELECT secret FROM orders",
)
said(
    "text of a union with the owner in one half",
    "SELECT secret FROM orders WHERE owner_id = :me UNION SELECT secret FROM orders",
)
said(
    "text of an existence",
    "SELECT 1 FROM products WHERE EXISTS (SELECT 1 FROM orders WHERE id = :id)",
    tells=True,
)
said(
    "text of a left join",
    "SELECT a.secret FROM orders AS a LEFT JOIN orders AS b ON a.owner_id = :me",
)
said(
    "text of a right join",
    "SELECT b.secret FROM products AS a RIGHT JOIN orders AS b"
    " ON b.owner_id = :me AND a.id = b.id",
)
said(
    "text of a natural join",
    "SELECT orders.secret FROM orders NATURAL LEFT JOIN products",
)
said(
    "text of a join with a list of tables",
    "SELECT b.secret FROM orders AS a, orders AS b WHERE a.owner_id = :me",
)
said(
    "text of a group",
    "SELECT max(secret) FROM orders GROUP BY owner_id HAVING owner_id <> :me",
)
said("text of values", "VALUES ((SELECT max(secret) FROM orders WHERE id = :id))")
said(
    "text in the limit",
    "SELECT 1 FROM products LIMIT (SELECT count(*) FROM orders WHERE id = :id)",
    tells=True,
)
said(
    "text in the order",
    "SELECT x.n FROM (SELECT (SELECT count(*) FROM orders WHERE id = :id) AS n) AS x"
    " ORDER BY (SELECT max(secret) FROM orders)",
    tells=True,
)
said("text of a view", "SELECT secret FROM all_orders")
said("text that copies", "TABLE orders", dialects=PG)
said("text of the table alone", "SELECT secret FROM ONLY orders", dialects=PG)
said("text of a whole row", "SELECT orders FROM orders", dialects=PG)
said("text of a row as JSON", "SELECT row_to_json(o) FROM orders AS o", dialects=PG)
said(
    "text that a function counts words of",
    "SELECT ndoc FROM ts_stat('SELECT to_tsvector(''simple'', owner_id) FROM orders')"
    " WHERE word = 'bea'",
    dialects=PG,
    tells=True,
)
said(
    "text of a sample of rows",
    "SELECT secret FROM orders TABLESAMPLE BERNOULLI (100)",
    dialects=PG,
)
said(
    "text of distinct rows",
    "SELECT DISTINCT ON (owner_id) secret FROM orders",
    dialects=PG,
)
said(
    "text with the owner in Unicode",
    'SELECT secret FROM U&"\\006frders"',
    dialects=PG,
)
said(
    "text of a lateral query",
    "SELECT l.secret FROM products, LATERAL (SELECT secret FROM orders) AS l",
    dialects=PG,
)
said(
    "text with dollars",
    "SELECT secret, $$ WHERE owner_id = 'ann' $$ FROM orders",
    dialects=PG,
)
said(
    "text with an index hint",
    "SELECT secret FROM orders NOT INDEXED",
    dialects=LITE,
)
said(
    "text of a row that is found by its place",
    "SELECT secret FROM orders WHERE rowid > 0",
    dialects=LITE,
)
said(
    "text that is compared by a rule of its own",
    "SELECT secret FROM orders WHERE owner_id IS NOT :me OR owner_id == :me",
    dialects=LITE,
)
said(
    "text of a group as JSON",
    "SELECT json_group_array(secret) FROM orders",
    dialects=LITE,
)


@writes(WHOLE, honest=False)
def text_of_an_update(s, w):
    s.execute(
        text("UPDATE notes SET secret = 'x' WHERE id = :id"), {"id": w.id("note")}
    )


@writes(WHOLE, honest=False)
def text_of_a_delete(s, w):
    s.execute(text("DELETE FROM notes WHERE id = :id"), {"id": w.id("note")})


@writes(WHOLE, honest=False)
def text_of_an_insert(s, w):
    told = "INSERT INTO notes (id, secret, author_id) VALUES ('new', 'x', :who)"
    s.execute(text(told), {"who": w.person})


@writes(WHOLE, honest=False)
def text_of_an_insert_without_columns(s, w):
    told = "INSERT INTO notes VALUES (:who, NULL, 'new', 'x')"
    s.execute(text(told), {"who": w.person})


@writes(WHOLE, honest=False)
def text_that_gives_away(s, w):
    told = (
        "UPDATE notes SET author_id = :who WHERE id = 'note-ann' AND author_id = 'ann'"
    )
    s.execute(text(told), {"who": w.person})


@writes(WHOLE, honest=False)
def text_of_a_copied_table(s, w):
    """What is created is a table that nobody has declared."""
    s.execute(text("CREATE TABLE copied AS SELECT * FROM orders"))
    return s.execute(text("SELECT secret FROM copied")).all()


@writes(WHOLE, honest=False)
def text_of_a_temporary_view(s, w):
    s.execute(text("CREATE TEMPORARY VIEW seen AS SELECT * FROM orders"))
    return s.execute(text("SELECT secret FROM seen")).all()


@writes(WHOLE, honest=False)
def text_of_a_renamed_table(s, w):
    s.execute(text("ALTER TABLE orders RENAME TO renamed"))
    try:
        return s.execute(text("SELECT secret FROM renamed")).all()
    finally:
        s.execute(text("ALTER TABLE renamed RENAME TO orders"))


@writes(WHOLE, honest=False, dialects=LITE)
def text_of_a_trigger(s, w):
    s.execute(
        text(
            "CREATE TEMPORARY TRIGGER late AFTER UPDATE ON notes BEGIN"
            " UPDATE notes SET editor_id = 'x' WHERE id <> 'note-ann'; END"
        )
    )
    try:
        s.execute(update(Note).where(Note.id == "note-ann").values(editor_id="y"))
    finally:
        s.execute(text("DROP TRIGGER late"))


@writes(WHOLE, honest=False, dialects=LITE)
def text_of_an_attached_database(s, w):
    s.execute(text("ATTACH DATABASE :file AS again"), {"file": w.file})
    found = s.execute(text("SELECT secret FROM again.orders")).all()
    s.rollback()
    return found


@writes(WHOLE, honest=False, dialects=PG)
def text_in_a_block(s, w):
    s.execute(text("DO $$ BEGIN UPDATE notes SET secret = 'taken'; END $$"))


@writes(WHOLE, honest=False, dialects=PG)
def text_of_a_truncation(s, w):
    s.execute(text("TRUNCATE notes"))


@writes(WHOLE, honest=False, dialects=PG)
def text_of_a_merge(s, w):
    told = (
        "MERGE INTO notes USING products ON notes.id = :id"
        " WHEN MATCHED THEN UPDATE SET secret = 'taken'"
    )
    s.execute(text(told), {"id": w.id("note")})


@writes(WHOLE, honest=False, dialects=PG)
def text_of_a_delete_in_an_expression(s, w):
    told = "WITH gone AS (DELETE FROM notes WHERE id = :id RETURNING secret)"
    return s.execute(
        text(f"{told} SELECT secret FROM gone"), {"id": w.id("note")}
    ).all()


@reads(WHOLE, honest=False, dialects=PG)
def text_of_a_cursor(s, w):
    s.execute(text("DECLARE c CURSOR FOR SELECT secret FROM orders"))
    return s.execute(text("FETCH ALL FROM c")).all()


@reads(WHOLE, honest=False, dialects=PG)
def text_of_a_prepared_statement(s, w):
    s.execute(text("PREPARE told AS SELECT secret FROM orders"))
    try:
        return s.execute(text("EXECUTE told")).all()
    finally:
        s.execute(text("DEALLOCATE told"))


@reads(WHOLE, honest=False, dialects=PG)
def text_of_an_explanation(s, w):
    told = "EXPLAIN (ANALYZE) SELECT secret FROM orders WHERE id = 'order-bea'"
    plan = "\n".join(s.scalars(text(told)).all())
    return w.told("rows=1" in plan or "actual" in plan)


# Fragments: SQLAlchemy puts them where they are given, without brackets.


@reads(PART, honest=False)
def condition_with_an_or(s, w):
    wanted = text("orders.id = :id OR orders.id = 'x'").bindparams(id=w.id("order"))
    return s.scalars(select(Order).where(wanted)).all()


@reads(PART, honest=False)
def condition_that_ends_in_a_comment(s, w):
    wanted = text("orders.id = :id --").bindparams(id=w.id("order"))
    return s.scalars(select(Order).where(wanted)).all()


@reads(PART, honest=False)
def literal_condition_with_an_or(s, w):
    wanted = literal_column(f"orders.id = '{w.id('order')}' OR 1 = 0")
    return s.scalars(select(Order).where(wanted)).all()


@reads(PART, honest=False)
def operator_with_an_or(s, w):
    wanted = Order.total.op("> 0 OR 0 <")(1)
    return s.scalars(select(Order).where(wanted)).all()


@reads(PART, honest=False)
def having_with_an_or(s, w):
    told = select(func.max(Order.secret)).group_by(Order.id)
    return s.scalars(told.having(text("1 = 1 OR 1 = 1"))).all()


@reads(PART, honest=False)
def union_by_a_suffix(s, w):
    told = select(Product.secret).suffix_with(text("UNION SELECT secret FROM orders"))
    return s.scalars(told).all()


@reads(PART, honest=False)
def union_in_the_order(s, w):
    told = select(Product.secret).where(text("1 = 1 UNION SELECT secret FROM orders"))
    return s.scalars(told).all()


@reads(PART, honest=False)
def union_with_text(s, w):
    more = text("SELECT secret FROM orders").columns(column("secret"))
    return s.scalars(union_all(select(Product.secret), more)).all()


@reads(PART, honest=False)
def columns_by_a_prefix(s, w):
    told = select(Product.id).prefix_with(text("(SELECT max(secret) FROM orders), "))
    return s.connection().execute(told).all()


@reads(PART, honest=False)
def subquery_in_literal_text(s, w):
    told = literal_column("(SELECT max(secret) FROM orders)")
    return s.execute(select(Product.id, told)).all()


@reads(PART, honest=False)
def subquery_in_the_order(s, w):
    many = "(SELECT count(*) FROM orders WHERE orders.id = :id)"
    told = select(Product.id, literal_column("1")).where(
        text(f"{many} > 0").bindparams(id=w.id("order"))
    )
    return w.told(s.execute(told).all())


@reads(PART, honest=False)
def join_with_text(s, w):
    told = select(literal_column("orders.secret")).select_from(
        text("order_lines, orders")
    )
    return s.execute(told).all()


@reads(PART, honest=False)
def hint_with_text(s, w):
    told = select(Product.secret).with_statement_hint("UNION SELECT secret FROM orders")
    return s.scalars(told).all()


@reads(PART, honest=False)
def name_of_a_label(s, w):
    told = select(Product.id.label('x", (SELECT max(secret) FROM orders) AS "y'))
    s.execute(told).all()
    return s.scalars(
        select(literal_column("secret").label("x")).select_from(Order)
    ).all()


@reads(PART, honest=False)
def parameter_of_the_owner_in_text(s, w):
    wanted = text("owner_id = :me OR owner_id = :them")
    return s.scalars(select(Order).where(wanted), {"me": "ann", "them": w.person}).all()


@writes(PART, honest=False)
def update_with_an_or(s, w):
    told = update(Note).where(text("notes.id = 'x' OR notes.id = :key"))
    s.execute(
        told.values(secret="taken"),
        {"key": w.id("note")},
        execution_options={"synchronize_session": False},
    )


@writes(PART, honest=False)
def update_with_a_value_of_text(s, w):
    told = update(Note).where(Note.id == "note-ann")
    s.execute(
        told.values(secret=text("(SELECT max(secret) FROM orders)")),
        execution_options={"synchronize_session": False},
    )


@part
def condition_with_brackets(s, w):
    """Text in brackets is let through, with the filter beside it."""
    wanted = text("(orders.id = :id OR orders.id = 'x')").bindparams(
        bindparam("id", w.id("order"))
    )
    return s.scalars(select(Order).where(wanted, true())).all()
