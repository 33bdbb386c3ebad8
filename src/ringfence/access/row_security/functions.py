"""What the database itself knows: the keys, and for whom a transaction works.

No extension is needed: the two blocks of RFC 2104 (the key padded, and combined with
``ipad`` and ``opad``) lie in the table of keys, so that the server's own ``sha256`` is
all that HMAC takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ringfence.access.row_security.context import (
    KEY_ID_LENGTH,
    SETTING,
    checked_key,
    key_id,
)
from ringfence.access.row_security.quoting import block, literal

_KEYS = """\
CREATE TABLE IF NOT EXISTS ringfence.signing_keys (
  id text PRIMARY KEY, ipad bytea NOT NULL, opad bytea NOT NULL
)"""
_CONTEXT_HEAD = "CREATE OR REPLACE FUNCTION ringfence.context() RETURNS jsonb"
_KNOWS_HEAD = "CREATE OR REPLACE FUNCTION ringfence.knows_key(text) RETURNS boolean"
_KNOWS = """
BEGIN
  RETURN EXISTS (SELECT FROM ringfence.signing_keys AS k WHERE k.id = $1);
END
"""
_DEFINER = """\
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
SET search_path = pg_catalog, pg_temp"""
_BLOCK = hashlib.sha256().block_size
_AGAIN = "ON CONFLICT (id) DO UPDATE SET ipad = excluded.ipad, opad = excluded.opad"
_INNER, _OUTER = 0x36, 0x5C  # RFC 2104, section 2

# Comparing digests of the two signatures, not themselves, tells nothing by its time.
_CONTEXT = f"""
DECLARE
  given CONSTANT text := current_setting('{SETTING}', true);
  signed bytea;
  body bytea;
  key ringfence.signing_keys;
  said jsonb;
BEGIN
  IF given IS NULL OR given = '' THEN
    RETURN NULL;
  END IF;
  SELECT * INTO key FROM ringfence.signing_keys AS k
    WHERE k.id = left(given, {KEY_ID_LENGTH});
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  signed := decode(substr(given, {KEY_ID_LENGTH + 2}), 'base64');
  body := substr(signed, 33);
  IF sha256(key.opad || substr(signed, 1, 32)) IS DISTINCT FROM
     sha256(key.opad || sha256(key.opad || sha256(key.ipad || body))) THEN
    RETURN NULL;
  END IF;
  said := convert_from(body, 'UTF8')::jsonb;
  IF (said ->> 'x')::bigint < extract(epoch FROM transaction_timestamp())
     OR coalesce((said ->> 'p')::integer <> pg_backend_pid(), false) THEN
    RETURN NULL;
  END IF;
  RETURN said;
END
"""

_UUID = "^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$"
_BIGINT = "^(0|-?[1-9][0-9]{0,17})$"

_ASKING = (
    ("principal_id()", "text", "nullif(ringfence.context() ->> 'i', '')"),
    ("tenant()", "text", "nullif(ringfence.context() ->> 't', '')"),
    ("signed_in()", "boolean", "coalesce(ringfence.context() ? 'i', false)"),
    ("unscoped()", "boolean", "coalesce(ringfence.context() ? 'u', false)"),
    (
        "has_role(text[])",
        "boolean",
        "coalesce(ringfence.context() -> 'r' ?| $1, false)",
    ),
    (
        "has_scope(text[])",
        "boolean",
        "coalesce(ringfence.context() -> 's' ?| $1, false)",
    ),
    (
        "has_factor(text[])",
        "boolean",
        "coalesce(ringfence.context() -> 'f' ?| $1, false)",
    ),
)
# An id that is no UUID owns nothing in a column of them, and is no error.
_CASTING = (
    ("as_uuid(text)", "uuid", f"CASE WHEN $1 ~ '{_UUID}' THEN $1::uuid END"),
    ("as_bigint(text)", "bigint", f"CASE WHEN $1 ~ '{_BIGINT}' THEN $1::bigint END"),
)


def functions() -> list[str]:
    """Return the statements that make the schema, the table of keys, and what
    policies ask. They may be run again."""
    return [
        "CREATE SCHEMA IF NOT EXISTS ringfence",
        "REVOKE ALL ON SCHEMA ringfence FROM PUBLIC",
        "GRANT USAGE ON SCHEMA ringfence TO PUBLIC",
        _KEYS,
        "REVOKE ALL ON ringfence.signing_keys FROM PUBLIC",
        f"{_CONTEXT_HEAD} {_DEFINER} AS {block(_CONTEXT)}",
        f"{_KNOWS_HEAD} {_DEFINER} AS {block(_KNOWS)}",
        *(_asking(*one, "STABLE PARALLEL RESTRICTED") for one in _ASKING),
        *(_asking(*one, "IMMUTABLE PARALLEL SAFE") for one in _CASTING),
    ]


def install_keys(keys: Sequence[bytes]) -> list[str]:
    """Return the statements that make these the keys whose signatures count. Run them
    as the owner of the tables, and keep them nowhere.

    Args:
        keys: ``Keyring.derive_all(PURPOSE)``.

    Raises:
        SettingsError: there is none, or one is too short.
    """
    rows = ", ".join(
        f"({literal(key_id(key))}, {_padded(key, _INNER)}, {_padded(key, _OUTER)})"
        for key in map(checked_key, keys or (b"",))
    )
    ids = ", ".join(literal(key_id(key)) for key in keys)
    return [
        f"INSERT INTO ringfence.signing_keys (id, ipad, opad) VALUES {rows} {_AGAIN}",
        f"DELETE FROM ringfence.signing_keys WHERE id NOT IN ({ids})",
    ]


def _padded(key: bytes, pad: int) -> str:
    whole = hashlib.sha256(key).digest() if len(key) > _BLOCK else key
    padded = bytes(byte ^ pad for byte in whole.ljust(_BLOCK, b"\0"))
    return f"decode('{padded.hex()}', 'hex')"


def _asking(signature: str, returns: str, expression: str, kind: str) -> str:
    # Bodies after RETURN are parsed now, and not under the caller's search_path.
    return (
        f"CREATE OR REPLACE FUNCTION ringfence.{signature} RETURNS {returns} "
        f"LANGUAGE sql {kind} RETURN {expression}"
    )
