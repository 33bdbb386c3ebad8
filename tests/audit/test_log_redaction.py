import io
import logging
import logging.handlers
import queue

import aiosqlite
import pytest
import sqlalchemy as sa
import uvicorn.logging

from ringfence.audit.redact import install_log_redaction

LOGGERS = (
    *("shop", "uvicorn.access", "uvicorn.error", "sqlalchemy.engine", "aiosqlite"),
    "pymongo.command",
)


@pytest.fixture(autouse=True)
def loggers_as_before():
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(each.handlers[:], each.propagate, each.level) for each in loggers]
    yield
    for each, (handlers, propagate, level) in zip(loggers, before, strict=True):
        each.handlers[:], each.propagate = handlers, propagate
        each.setLevel(level)


@pytest.fixture(autouse=True)
def factory_as_python_has_it():
    """Whatever a guard of another test has left behind."""
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(logging.LogRecord)
    yield
    logging.setLogRecordFactory(before)


@pytest.fixture
def redaction():
    end = install_log_redaction()
    yield
    end()


@pytest.fixture
def log(redaction):
    """A logger of the application whose lines can be read."""
    return Log("shop")


class Log:
    def __init__(self, name, formatter=None, level=1):
        self.stream = io.StringIO()
        self.logger = logging.getLogger(name)
        handler = logging.StreamHandler(self.stream)
        handler.setFormatter(formatter or logging.Formatter("%(message)s"))
        self.logger.handlers[:] = [handler]
        self.logger.propagate = False
        self.logger.setLevel(level)

    def __getattr__(self, name):
        return getattr(self.logger, name)

    @property
    def text(self):
        return self.stream.getvalue()


class Order:
    def __str__(self):
        return "order of bob, password=hunter2\nforged"

    __repr__ = __str__


MESSAGES = {
    "in the message": ("password=hunter2",),
    "in an argument": ("got %s", "password=hunter2"),
    "across message and argument": ("password=%s for %s", "hunter2", "bob"),
    "across, with repr": ("password=%r", "hunter2"),
    "in an object": ("got %s", Order()),
    "in a dictionary": ("got %s", {"password": "hunter2"}, 1)[:2],
    "by name": ("%(password)s %(n)d", {"password": "hunter2", "n": 1}),
    "an object as the message": (Order(),),
    "a dictionary as the message": ({"password": "hunter2"},),
    "arguments that do not fit": ("password=%s %s", "hunter2"),
    "a number that is none": ("password %d", "password=hunter2"),
}


@pytest.mark.parametrize("call", MESSAGES.values(), ids=MESSAGES)
def test_a_logged_secret_does_not_arrive(log, call, capfd):
    """Whatever way it gets into a record, and also where logging reports an error."""
    log.info(*call)
    assert "hunter2" not in log.text + "".join(capfd.readouterr())


def test_a_message_without_secrets_stays_as_it_is(log):
    log.info("%s bought %d of %.2f %s", "O'Brien", 3, 1.5, None)
    assert log.text == "O'Brien bought 3 of 1.50 None\n"


@pytest.mark.parametrize(
    "call",
    [
        ("for %s", "bob\r\nINFO all is well"),
        ("for bob\r\nINFO all is well",),
        ("for %s", Order()),
        ("%(user)s", {"user": "bob\r\nINFO all is well"}),
    ],
)
def test_nobody_forges_a_line(log, call):
    """CWE-117: what a client sends stays on the line that it is reported on."""
    log.info(*call)
    assert log.text.count("\n") == 1
    assert "\r" not in log.text


def test_a_terminal_gets_no_escape_sequences(log):
    """CVE-2020-7694."""
    log.info("GET %s", "/\x1b]0;owned\x07\x1b[2J")
    assert "\x1b" not in log.text
    assert "\x07" not in log.text


def test_lines_of_the_developer_stay(log):
    log.info("first\nsecond: %s", "x")
    assert log.text == "first\nsecond: x\n"


def test_a_trace_keeps_its_lines_and_loses_secrets(log):
    def fail():
        raise ValueError("token='hunter2'\nINFO all is well\x1b[2J")

    try:
        try:
            fail()
        except ValueError as error:
            raise RuntimeError("postgresql://shop:hunter2@db/shop") from error
    except RuntimeError:
        log.exception("failed")
    assert "hunter2" not in log.text
    assert "\x1b" not in log.text
    assert "\nINFO" not in log.text
    assert "Traceback (most recent call last):\n  File" in log.text
    assert "direct cause of the following exception" in log.text
    assert "RuntimeError: postgresql://[secret]@db/shop" in log.text


def test_a_handler_cannot_print_what_was_taken_out_of_a_trace(redaction):
    """A formatter that prints exceptions in its own way finds none to print."""
    kept = []
    logger = Log("shop").logger
    logger.handlers[0].emit = kept.append
    try:
        int("password=hunter2")
    except ValueError:
        logger.exception("failed")
    assert kept[0].exc_info is None
    assert "password=[secret]" in kept[0].exc_text


def test_a_handler_still_gets_an_error_that_hides_nothing(redaction):
    kept = []
    logger = Log("shop").logger
    logger.handlers[0].emit = kept.append
    number = {}
    try:
        number["x"]
    except KeyError:
        logger.exception("failed")
    assert kept[0].exc_info[0] is KeyError


def test_extra_fields_are_cleaned(redaction):
    log = Log("shop", logging.Formatter("%(message)s %(api_key)s %(note)s %(n)s"))
    log.info("x", extra={"api_key": "hunter2", "note": "password=hunter2\n", "n": 7})
    assert log.text == "x [secret] password=[secret]\\n 7\n"


def test_queued_records_are_clean_too(redaction):
    waiting = queue.SimpleQueue()
    logger = Log("shop").logger
    logger.handlers[:] = [logging.handlers.QueueHandler(waiting)]
    logger.info("password=%s", "hunter2")
    assert waiting.get().getMessage() == "password=[secret]"


def test_a_stack_is_cleaned(log):
    log.info("x", stack_info=True)
    assert "Stack (most recent call last):\n" in log.text


ACCESS = '%s - "%s %s HTTP/%s" %d'


def access_log():
    layout = '%(client_addr)s "%(request_line)s" %(status_code)s'
    return Log("uvicorn.access", uvicorn.logging.AccessFormatter(layout))


def test_access_logs_lose_the_values_of_query_strings(redaction):
    log = access_log()
    log.info(ACCESS, "1.2.3.4:5", "GET", "/x?q=my+illness&t=hunter2&bare", "1.1", 200)
    assert log.text == (
        '1.2.3.4:5 "GET /x?q=[secret]&t=[secret]&[secret] HTTP/1.1" 200 OK\n'
    )


def test_access_logs_keep_their_five_arguments(redaction):
    """Uvicorn's formatter takes them apart, also where all of them look odd."""
    log = access_log()
    log.info(ACCESS, "password=", "token:", "/password=hunter2\r\n", "1.1", 404)
    assert "hunter2" not in log.text
    assert log.text.endswith("404 Not Found\n")
    assert log.text.count("\n") == 1


def test_websocket_lines_lose_them_too(redaction):
    log = Log("uvicorn.error")
    log.info('%s - "WebSocket %s" [accepted]', ("1.2.3.4", 5), "/ws?ticket=hunter2")
    assert "hunter2" not in log.text
    assert "/ws?ticket=[secret]" in log.text


def test_the_servers_own_colours_survive(redaction):
    formatter = uvicorn.logging.DefaultFormatter("%(message)s", use_colors=True)
    log = Log("uvicorn.error", formatter)
    extra = {"color_message": "running on \x1b[1m%s://%s:%d\x1b[0m"}
    log.info("running on %s://%s:%d", "http", "127.0.0.1", 8000, extra=extra)
    assert "\x1b[1mhttp://127.0.0.1:8000\x1b[0m" in log.text


def test_a_failed_start_is_told_in_lines(redaction):
    log = Log("uvicorn.error")
    log.error("not safe:\n  - this\n  - that")
    assert log.text == "not safe:\n  - this\n  - that\n"


def test_sqlalchemys_echo_shows_statements_without_data(redaction):
    """Also the literals of a concatenated statement, and the rows."""
    log = Log("sqlalchemy.engine")
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        statement = sa.text("SELECT 'hunter2' AS a,\n :secret AS b")
        rows = connection.execute(statement, {"secret": "hunter2"}).all()
    engine.dispose()
    assert rows == [("hunter2", "hunter2")]
    assert "SELECT '?' AS a,  ? AS b\n" in log.text
    assert "hunter2" not in log.text


@pytest.mark.anyio
async def test_aiosqlites_lines_hold_no_parameters(redaction):
    log = Log("aiosqlite")
    async with aiosqlite.connect(":memory:") as database:
        await database.execute("SELECT ?", ("hunter2",))
    assert "executing" in log.text
    assert "hunter2" not in log.text


def test_mongos_commands_are_hidden(redaction):
    log = Log("pymongo.command")
    log.debug(
        '{"message": "Command started", "command": "{\\"find\\": \\"hunter2\\"}"}'
    )
    assert "Command started" in log.text
    assert "hunter2" not in log.text


def test_installing_twice_redacts_until_both_have_ended():
    before = logging.getLogRecordFactory()
    first, second = install_log_redaction(), install_log_redaction()
    first()
    first()
    assert record("password=hunter2") == "password=[secret]"
    second()
    assert logging.getLogRecordFactory() is before
    assert record("password=hunter2") == "password=hunter2"


def test_a_factory_that_was_there_before_is_used():
    class Own(logging.LogRecord):
        pass

    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(Own)
    try:
        end = install_log_redaction()
        made = make("password=hunter2")
        assert isinstance(made, Own)
        assert made.getMessage() == "password=[secret]"
        end()
        assert logging.getLogRecordFactory() is Own
    finally:
        logging.setLogRecordFactory(before)


def test_a_factory_that_came_later_is_left_in_place():
    before = logging.getLogRecordFactory()
    end = install_log_redaction()
    ours = logging.getLogRecordFactory()

    def later(*args, **kwargs):
        return ours(*args, **kwargs)

    logging.setLogRecordFactory(later)
    try:
        end()
        assert logging.getLogRecordFactory() is later
        assert record("password=hunter2") == "password=hunter2"
    finally:
        logging.setLogRecordFactory(before)


def test_records_from_elsewhere_can_be_made(redaction):
    made = logging.makeLogRecord({"msg": "password=%s", "args": ("x",), "name": "a"})
    assert made.name == "a"


def make(message):
    return logging.getLogger("x").makeRecord("x", 20, "f", 1, message, (), None)


def record(message):
    return make(message).getMessage()
