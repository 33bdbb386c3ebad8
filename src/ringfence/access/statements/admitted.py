"""What is let through, or refused, by its name: catalogs, functions, settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from ringfence.access.statements.lexer import Token
from ringfence.access.statements.objection import WAY_ROUND, ObjectionError


def _names(said: str) -> frozenset[str]:
    return frozenset(said.split())


_SQLITE_CATALOGS = _names(
    "sqlite_master sqlite_schema sqlite_temp_master sqlite_temp_schema sqlite_sequence"
)
# Of PostgreSQL 14 to 18, which looks there before it looks anywhere else. Whatever else
# is called pg_something is a table of the application's.
_POSTGRES_CATALOGS = _names(
    "pg_aggregate pg_am pg_amop pg_amproc pg_attrdef pg_attribute pg_auth_members "
    "pg_available_extension_versions pg_available_extensions pg_cast pg_class "
    "pg_collation pg_constraint pg_conversion pg_database pg_db_role_setting "
    "pg_default_acl pg_depend pg_description pg_enum pg_event_trigger pg_extension "
    "pg_foreign_data_wrapper pg_foreign_server pg_foreign_table pg_group pg_index "
    "pg_indexes pg_inherits pg_init_privs pg_language pg_locks pg_matviews "
    "pg_namespace pg_opclass pg_operator pg_opfamily pg_parameter_acl "
    "pg_partitioned_table pg_policies pg_policy pg_proc pg_publication "
    "pg_publication_namespace pg_publication_rel pg_publication_tables pg_range "
    "pg_rewrite pg_roles pg_rules pg_seclabel pg_seclabels pg_sequence pg_sequences "
    "pg_settings pg_shdepend pg_shdescription pg_shseclabel pg_tables pg_tablespace "
    "pg_timezone_abbrevs pg_timezone_names pg_transform pg_trigger pg_ts_config "
    "pg_ts_config_map pg_ts_dict pg_ts_parser pg_ts_template pg_type pg_user pg_views"
)
# They show values of columns, statements of others, passwords, files.
_TELLING = re.compile(
    r"pg_(stat|authid|shadow|user_mapping|largeobject|hba|ident|file|prepared|cursor"
    r"|toast|replication|subscription|config|backend|shmem|temp)|processlist|innodb"
)

# They run text as SQL, read files, or change whose rows row-level security shows.
_RUNNING = re.compile(
    r"(query|cursor|table|schema|database)_to_xml|dblink|lo_|lo(read|write|import|export)"
    r"|pg_(read|ls|file|stat_file|logical|execute|reload|rotate|promote|terminate|cancel"
    r"|create|drop|advisory_unlock_all|stat_get|current_logfile|export|import|start"
    r"|switch|replication|largeobject|prepared|cursor)"
    r"|ts_stat$|ts_rewrite$|set_config$|crosstab|connectby|load_extension$|load_file$"
    r"|readfile$|writefile$|edit$|eval$|fts[0-9]_tokenizer$|sys_(eval|exec|get|set)"
    r"|xpath_table$|schedule$|schedule_in_database$|pg_background_"
    r"|get_raw_page|heap_page|bt_page|txid_status$|xmltable$|sqlite_dbpage|zipfile"
)
# Tables of SQLite can be called, too: `orders_fts('word')`.
_SQLITE_TABLE_FUNCTIONS = re.compile(r"jsonb?_(each|tree)$|generate_series$|pragma_")

_READING_PRAGMAS = _names(
    "application_id busy_timeout cache_size case_sensitive_like collation_list "
    "compile_options database_list data_version defer_foreign_keys encoding "
    "foreign_key_check foreign_key_list foreign_keys freelist_count function_list "
    "index_info index_list index_xinfo integrity_check journal_mode "
    "journal_size_limit mmap_size module_list optimize page_count page_size "
    "pragma_list query_only quick_check read_uncommitted schema_version "
    "synchronous table_info table_list table_xinfo temp_store user_version "
    "wal_autocheckpoint wal_checkpoint"
)
# Others change what a name means (search_path), who asks (role), how text is read
# (client_encoding, NAMES).
_HARMLESS_SETTINGS = _names(
    "application_name autocommit bytea_output client_min_messages "
    "constraints datestyle default_transaction_deferrable "
    "default_transaction_isolation default_transaction_read_only "
    "extra_float_digits foreign_key_checks idle_in_transaction_session_timeout "
    "intervalstyle jit lock_timeout max_execution_time statement_timeout "
    "synchronous_commit time time_zone timezone transaction transaction_isolation "
    "work_mem"
)
_PASSING = _names(
    "BEGIN COMMIT ROLLBACK SAVEPOINT RELEASE END ABORT START SHOW ANALYZE COMMENT "
    "DEALLOCATE LISTEN NOTIFY UNLISTEN DESCRIBE DESC"
)
# Within one that passes, another could be carried out: MariaDB's `ANALYZE DELETE`.
_VERBS = _names(
    "SELECT INSERT UPDATE DELETE REPLACE MERGE CALL EXECUTE DO WITH HANDLER LOAD "
    "PROCESSLIST REPLICA SLAVE BINLOG INHERITS OF VALUES GRANT TRIGGER VIEW"
)
_CREATED = _names("TABLE INDEX SCHEMA SEQUENCE TYPE DOMAIN")
_READ = _names("SELECT WITH VALUES INSERT UPDATE DELETE ( TABLE")


def is_catalog(dialect: str, schema: str, name: str) -> bool:
    """Return whether a table is one in which an engine describes itself, and tells
    nothing of anybody's rows."""
    if _TELLING.match(name):
        return False
    match dialect:
        case "sqlite":
            return name in _SQLITE_CATALOGS
        case "postgres":
            return schema in ("pg_catalog", "information_schema") or (
                not schema and name in _POSTGRES_CATALOGS
            )
        case _:
            return schema == "information_schema"


def check_functions(tokens: Sequence[Token]) -> None:
    """Refuse functions by which a statement reaches rows that it does not name.

    Raises:
        ObjectionError: there is one.
    """
    for token, following in pairwise(tokens):
        if following.text != "(" or token.kind not in ("word", "quoted"):
            continue
        name = (token.value or token.text).lower()
        if _RUNNING.match(name):
            raise ObjectionError(
                f"The function {name} reaches what no check of the text can see: do "
                f"without it, {WAY_ROUND}."
            )


def check_table_function(dialect: str, name: str) -> None:
    """Refuse to read from a function that may be a table.

    Raises:
        ObjectionError: it may be.
    """
    if dialect == "sqlite" and not _SQLITE_TABLE_FUNCTIONS.match(name):
        raise ObjectionError(f"{name} may be a table: name it without brackets.")


def passes(tokens: Sequence[Token], dialect: str) -> bool:
    """Return whether a statement may be carried out for what it is; false for those
    that have to be read, a ``SELECT`` say.

    Raises:
        ObjectionError: it is neither.
    """
    words = [token.text.upper() for token in tokens]
    first, second = (*words, "", "")[:2]
    if first in _READ:
        return False
    plain = not _VERBS & set(words[1:])
    if not first or (plain and _is_harmless(first, words[1:], tokens, dialect)):
        return True
    raise ObjectionError(
        f"{first} {second} is refused, since it could reach rows that are "
        f"another's: send it with a connection of its own, {WAY_ROUND}."
    )


def _is_harmless(
    first: str, rest: Sequence[str], tokens: Sequence[Token], dialect: str
) -> bool:
    match first:
        case "PRAGMA" if dialect == "sqlite":
            name = tokens[3 if rest[1:2] == ["."] else 1 :][:1]
            return any(
                (one.value or one.text).lower() in _READING_PRAGMAS for one in name
            )
        case "SET" | "RESET":
            return _is_harmless_setting(rest)
        case "CREATE":
            kind = rest[1:2] if rest[:1] == ["UNIQUE"] else rest[:1]
            # `CREATE TABLE mine AS TABLE orders` copies rows.
            single = rest.count("TABLE") <= 1 and "CREATE" not in rest
            return single and bool(_CREATED.intersection(kind))
        case _:
            return first in _PASSING


def _is_harmless_setting(words: Sequence[str]) -> bool:
    named = words[1:] if words[:1] in (["LOCAL"], ["SESSION"]) else words
    if not named or "," in words:
        return False
    if named[0] == "CHARACTERISTICS":  # SET SESSION CHARACTERISTICS AS TRANSACTION
        return True
    return named[1:2] != ["."] and named[0].lower() in _HARMLESS_SETTINGS
