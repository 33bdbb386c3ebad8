"""What tries to take the filter out again, or to change what is checked afterwards."""

from __future__ import annotations

from contextlib import contextmanager

from sqlalchemy import bindparam, event, literal_column, or_, select, text, true, update
from sqlalchemy.orm import Session, selectinload, with_loader_criteria
from tests.access.sqlalchemy.models import Base, Note, Order, OrderLine, Remark
from tests.access.sqlalchemy.paths.table import reads, writes

GROUP = "override"
theirs = reads(GROUP)
bent = reads(GROUP, honest=False)


@contextmanager
def listening(target, name, function, **options):
    event.listen(target, name, function, **options)
    try:
        yield
    finally:
        event.remove(target, name, function)


@theirs
def wider_criteria_for_a_model(s, w):
    return s.scalars(select(Order).options(with_loader_criteria(Order, true()))).all()


@theirs
def wider_criteria_for_all_models(s, w):
    wider = with_loader_criteria(Base, lambda _: true(), include_aliases=True)
    return s.scalars(select(Order).options(wider)).all()


@theirs
def wider_criteria_with_an_or(s, w):
    wider = with_loader_criteria(Order, or_(Order.id == w.id("order"), true()))
    return s.scalars(select(Order).options(wider)).all()


@bent
def wider_criteria_of_literal_text(s, w):
    wider = with_loader_criteria(Order, literal_column("1 = 1 OR 1 = 1"))
    return s.scalars(select(Order).options(wider)).all()


@theirs
def criteria_that_do_not_travel(s, w):
    narrow = with_loader_criteria(Remark, true(), propagate_to_loaders=False)
    found = s.scalars(select(Order).options(narrow)).all()
    return [list(order.remarks) for order in found]


def own_parameters(s):
    """Return the names of everything that a statement of the session binds to me."""
    seen = {}

    def look(*given):
        context = given[4]
        compiled = context.compiled_parameters if context is not None else ()
        for one in compiled:
            seen.update(one)

    engine = s.get_bind()
    statement = select(Order.id).where(Order.owner_id == bindparam("mine", "ann"))
    with listening(engine, "before_cursor_execute", look):
        s.scalars(statement).all()
    return [name for name, value in seen.items() if value == "ann"]


@bent
def parameters_that_replace_ours(s, w):
    names = dict.fromkeys(own_parameters(s), w.person)
    told = select(Order).where(Order.owner_id == bindparam("mine", "ann"))
    return s.scalars(told.params(names)).all()


@bent
def parameters_beside_the_statement(s, w):
    names = dict.fromkeys(own_parameters(s), w.person)
    told = select(Order).where(Order.owner_id == bindparam("mine", "ann"))
    return s.scalars(told, names).all()


@bent
def parameters_of_a_query(s, w):
    names = dict.fromkeys(own_parameters(s), w.person)
    told = s.query(Order).filter(Order.owner_id == bindparam("mine", "ann"))
    return told.params(names).all()


@bent
def parameters_of_our_names_in_the_statement(s, w):
    """The statement has parameters of the same names, with other values."""
    wanted = [Order.owner_id == bindparam(name, w.person) for name in own_parameters(s)]
    return s.scalars(select(Order).where(or_(*wanted))).all()


@writes(GROUP, honest=False)
def parameters_of_an_update(s, w):
    names = dict.fromkeys(own_parameters(s), w.person)
    told = update(Note).where(Note.author_id == bindparam("mine", "ann"))
    s.execute(
        told.values(secret="taken"),
        names,
        execution_options={"synchronize_session": False},
    )


@theirs
def a_listener_that_replaces_the_statement(s, w):
    def late(state):
        if state.is_select:
            state.statement = select(Order).where(Order.id == w.id("order"))

    event.listen(s, "do_orm_execute", late)
    return s.scalars(select(Order).where(Order.owner_id == "ann")).all()


@bent
def a_listener_that_answers_with_another_session(s, w):
    def late(state):
        with Session(w.engine) as other:
            return other.execute(select(Order)).freeze()()

    event.listen(s, "do_orm_execute", late)
    return s.scalars(select(Order)).all()


@bent
def a_listener_that_answers_with_text(s, w):
    def late(state):
        return state.session.connection().execute(
            text("SELECT secret FROM orders WHERE id = :id"), {"id": w.id("order")}
        )

    event.listen(s, "do_orm_execute", late)
    return s.scalars(select(Order.secret)).all()


@bent
def a_listener_on_the_class_of_sessions(s, w):
    def late(state):
        if state.is_select:
            state.statement = select(Order)

    with listening(Session, "do_orm_execute", late):
        return s.scalars(select(Order).where(Order.id == "x")).all()


@bent
def a_listener_that_changes_the_text(s, w):
    """After our check, by a hook of the same name that came later."""

    def late(*given):
        _, _, statement, parameters, *_ = given
        if "FROM products" in statement:
            return "SELECT secret FROM orders", type(parameters)()
        return statement, parameters

    with listening(w.engine, "before_cursor_execute", late, retval=True):
        return s.execute(text("SELECT secret FROM products")).all()


@bent
def a_listener_that_changes_a_parameter(s, w):
    """As for logging, or tracing: it is given the values and may give others."""
    replaced = {"ann": w.person}

    def late(*given):
        _, _, statement, parameters, *_ = given
        if isinstance(parameters, dict):
            given = {k: replaced.get(v, v) for k, v in parameters.items()}
        else:
            given = tuple(replaced.get(value, value) for value in parameters)
        return statement, given

    told = select(Order).where(Order.owner_id == "ann")
    with listening(w.engine, "before_cursor_execute", late, retval=True):
        return s.scalars(told).all()


@reads(GROUP, honest=False)
def a_listener_before_the_statement_is_compiled(s, w):
    def late(connection, clause, many, given, options):
        return select(Order.secret), many, given

    with listening(w.engine, "before_execute", late, retval=True):
        return s.execute(select(Order.secret).where(Order.id == "x")).all()


@bent
def a_listener_when_a_connection_begins(s, w):
    found = []

    def late(connection):
        found.append(connection.exec_driver_sql("SELECT secret FROM orders").all())

    with listening(w.engine, "begin", late):
        s.rollback()
        s.scalars(select(Order)).all()
    return found


@bent
def a_listener_after_the_statement(s, w):
    found = []

    def late(*given):
        connection = given[0]
        other = connection.connection.cursor()
        other.execute("SELECT secret FROM orders")
        found.append(other.fetchall())
        other.close()

    with listening(w.engine, "after_cursor_execute", late):
        s.scalars(select(Order)).all()
    return found


@bent
def a_listener_that_expires_what_was_loaded(s, w):
    found = []

    def late(row, context):
        found.append(row)

    with listening(Order, "load", late):
        s.scalars(select(Order)).all()
    return found


@theirs
def no_cache_of_statements(s, w):
    without = {"compiled_cache": None}
    return s.scalars(select(Order), execution_options=without).all()


@theirs
def no_cache_on_the_connection(s, w):
    s.connection(execution_options={"compiled_cache": None})
    return s.scalars(select(Order)).all()


@bent
def no_parameters(s, w):
    told = text("SELECT secret FROM orders")
    return s.execute(told, execution_options={"no_parameters": True}).all()


@theirs
def options_of_execution(s, w):
    given = {"populate_existing": True, "autoflush": False, "told": "unscoped"}
    return s.scalars(select(Order), execution_options=given).all()


@theirs
def options_named_like_ours(s, w):
    """Who finds the switch of the walls may not be whoever writes the options."""
    names = ("unscoped", "ringfence_unscoped", "ringfence", "_ringfence", "skip_filter")
    return s.scalars(select(Order), execution_options=dict.fromkeys(names, True)).all()


@theirs
def options_of_the_connection(s, w):
    names = ("unscoped", "ringfence_unscoped", "ringfence", "_ringfence")
    s.connection(execution_options=dict.fromkeys(names, True))
    return s.scalars(select(Order)).all()


@theirs
def information_of_the_session(s, w):
    for name in ("unscoped", "ringfence_unscoped", "ringfence", "principal"):
        s.info[name] = "bea"
    return s.scalars(select(Order)).all()


@theirs
def options_that_run_ahead_of_the_filter(s, w):
    first = s.scalars(select(Order).options(selectinload(Order.remarks))).all()
    return [first, s.scalars(select(OrderLine)).all()]


@theirs
def a_statement_kept_from_another(s, w):
    """Statements are compiled once, and run for everybody."""
    told = select(Order)
    with w.acting(w.other), w.open() as other:
        other.scalars(told).all()
    return s.scalars(told).all()


@bent
def a_bind_of_the_session(s, w):
    return s.scalars(select(Order), bind_arguments={"bind": w.engine}).all()


@bent
def another_class_of_queries(s, w):
    bypassed = Session.execute(s, select(Order)).scalars().all()
    return [bypassed, Session.get(s, Order, w.id("order"))]


@writes(GROUP, honest=False)
def a_listener_that_changes_a_written_value(s, w):
    def late(*given):
        _, _, statement, parameters, *_ = given
        swap = {"note-ann": w.id("note")}
        if isinstance(parameters, dict):
            return statement, {k: swap.get(v, v) for k, v in parameters.items()}
        return statement, tuple(swap.get(value, value) for value in parameters)

    note = s.get(Note, "note-ann")
    note.secret = "taken"
    with listening(w.engine, "before_cursor_execute", late, retval=True):
        s.flush()


@writes(GROUP, honest=False)
def a_listener_that_writes_after_the_flush(s, w):
    def late(session, context):
        session.connection().execute(
            update(Note.__table__)
            .where(Note.__table__.c.id == w.id("note"))
            .values(secret="taken")
        )

    event.listen(s, "after_flush", late)
    s.get(Note, "note-ann").secret = "mine"
    s.flush()


@writes(GROUP, honest=False)
def a_listener_that_writes_in_the_flush(s, w):
    def late(mapper, connection, row):
        connection.execute(
            update(Note.__table__)
            .where(Note.__table__.c.id == w.id("note"))
            .values(secret="taken")
        )

    with listening(Note, "before_update", late):
        s.get(Note, "note-ann").secret = "mine"
        s.flush()
