"""Finding secrets in a text, by what they look like and by what they are called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote

from ringfence.secrets.secret import MASK

# Every pattern takes time linear in the text: what follows a match is never read
# again, and possessive quantifiers (``++``) never go back (CVE-2025-53539 was a scanner
# of this field that did).

_PRIVATE_KEY = re.compile(
    r"""
    -----BEGIN\ [A-Z0-9\ ]{0,40}PRIVATE\ KEY-----
    (?: (?!-----END) [A-Za-z0-9+/=\s\\:,_.-] )*+
    (?: -----END\ [A-Z0-9\ ]{0,40}PRIVATE\ KEY----- )?+
    """,
    re.VERBOSE,
)
_PASSWORD_HASH = re.compile(
    r"""
    \$ (?: argon2(?:id|i|d) | scrypt | pbkdf2[a-z0-9-]*+ | 2[abxy] ) \$
        [^\s"'<>;)\]}]++
    | \$ [1567y] \$ [^\s"'$]{1,64}+ \$ [./A-Za-z0-9$]{20,}+
    | (?<![\w$]) (?: pbkdf2_sha(?:1|256) | bcrypt(?:_sha256)? | scrypt )
        (?: : [0-9:]{1,32}+ )?+ \$ [^\s"'<>;)\]}]{16,}+
    """,
    re.VERBOSE,
)
"""Modular crypt format and PHC strings, and those of Django and Werkzeug."""

_JWT = re.compile(
    r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]*+(?:\.[A-Za-z0-9_-]*+){0,3}+"
)
_ISSUED = re.compile(
    r"""(?<![A-Za-z0-9_-])
    (?: gh[pousr]_ | github_pat_ | glpat- | xox[abeprs]- | [rs]k_(?:live|test)_
        | AIza | hvs\. | npm_ | pypi- )
    [A-Za-z0-9_.-]{16,}+""",
    re.VERBOSE,
)
"""Tokens that their issuers marked so that they can be found."""

_AUTHORITY = re.compile(
    r"""
    (?<=://)
    (?: [^\s/?#"'<>@:\[]*+ : (?! \d*+ (?: [/?#\s"'<>] | $ ) ) [^\s"'<>@]{0,256}+ @ )?+
    [^\s/?#"'<>]*+
    """,
    re.VERBOSE,
)
"""The authority of a URL, which may begin with a name and a password. Drivers take a
password with a bare slash in it, so we do too; what follows a port is no password."""

_BEARER = re.compile(
    r"\b((?:bearer|basic|dpop|token)[ \t]++)([\w.~+/-]{8,}+)={0,2}+(?![\w=])",
    re.IGNORECASE,
)

_FAILING_ROW = re.compile(r"(Failing row contains \()[^\n]*+|(\)=\()[^()\n]*+(?=\))")
"""PostgreSQL quotes the row that it refused."""

_SEPARATOR = re.compile(r"(?<=[\w\]\"' \t])(?:[=:](?![=:])|,(?=[ \t]*+[brBR]?[\"']))")

_NAME = re.compile(r"[ \t]{0,3}+([\"']\\*+)?+([\w.\-\[\]%]{1,64}+)")
"""What stands before a separator, read backwards."""

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")

_SENSITIVE_ENDS = (
    *("password", "passwd", "passphrase", "passcode", "secret", "token", "cookie"),
    *("apikey", "accesskey", "privatekey", "secretkey", "signingkey", "masterkey"),
    *("encryptionkey", "rangekey", "sessionkey", "sharedkey", "keymaterial"),
    *("authorization", "authentication", "session", "sessionid", "credential"),
    *("credentials", "cookies", "connectionstring", "recoverycode", "recoverycodes"),
    *("cardnumber", "inputvalue", "assertion"),
)
_SENSITIVE_WORDS = frozenset(
    {"pass", "pwd", "pw", "auth", "sid", "csrf", "xsrf", "otp", "totp", "pin", "cvv"}
    | {"cvc", "jwt", "dsn", "sessid"}
)
"""A name is sensitive that ends so, or whose last word is one of these, once small
words at its end are taken off."""

_PASSWORDS = ("password", "passwd", "passphrase", "passcode", "pwd", "pass")
_HEADERS = frozenset({"authorization", "proxyauthorization", "cookie", "setcookie"})
_ONLY_IN_QUERY = frozenset(
    {"code", "state", "key", "sig", "signature", "ticket", "nonce", "hash"}
)
_SMALL_WORDS = frozenset(
    {"again", "b", "confirm", "confirmation", "confirmed", "current", "digest"}
    | {"encoded", "encrypted", "hash", "hashed", "hex", "new", "old", "plain"}
    | {"plaintext", "raw", "repeat", "repeated", "text"}
)
_HARMLESS = frozenset(
    {"str", "bytes", "secret", "secretstr", "string", "none", "null", "true", "false"}
    | {"int", "bool", "any", "object"}
)
"""Types and empty values, as code and schemas have them after a name."""

_OPENING_QUOTE = re.compile(r"[bBrRuUfF]{0,2}+(\\*+)([\"'])")
_QUOTED = {
    '"': re.compile(r'(?:[^"\\]|\\.)*+', re.DOTALL),
    "'": re.compile(r"(?:[^'\\]|\\.)*+", re.DOTALL),
}
_BRACKETS = re.compile(r"[\[({\])}]")
_PLAIN = re.compile(
    r"""(?: [^\s,;&)\]}"'<>]
    | [)\]}"'] (?=\w)
    | [,;] (?! \s | $ | [\w.-]{1,32}+= )
    )*+""",
    re.VERBOSE,
)
"""A bare value. Quotes, brackets and commas in the middle of it belong to it."""
_PLAIN_PASSWORD = re.compile(r"[^\r\n,;&)\]}\"'<>]*+")
_REST_OF_LINE = re.compile(r"[^\r\n]*+")
_BLANK = re.compile(r"[ \t]*+")


def hide_secrets(text: str) -> str:
    """Return the text with each secret replaced by ``[secret]``.

    Replaced are values of names such as ``password``, ``token`` or ``cookie``, in
    ``key=value``, JSON, Python and header notation and in query strings; credentials
    in URLs, bearer tokens, JWTs, password hashes and private keys. All else stays as
    it is. Doing it twice changes nothing more.

    Args:
        text: of any length; the time taken is linear in it.

    Source: ASVS 5.0 V16.2.5; CWE-532.

    Not covered: a secret that nothing marks as one, a password in a sentence say.
    """
    # The tests by `in` save most of the time: few texts hold any of this.
    if "-----BEGIN" in text:
        text = _PRIVATE_KEY.sub(MASK, text)
    if "$" in text:
        text = _PASSWORD_HASH.sub(MASK, text)
    if "eyJ" in text:
        text = _JWT.sub(MASK, text)
    text = _ISSUED.sub(MASK, text)
    if "://" in text:
        text = _AUTHORITY.sub(_without_userinfo, text)
    text = _BEARER.sub(_without_bearer, text)
    if ")=(" in text or "Failing row" in text:
        text = _FAILING_ROW.sub(lambda found: f"{found[1] or found[2]}{MASK}", text)
    return _hide_named(text)


def is_sensitive(name: str) -> bool:
    """Return whether a value of this name is a secret."""
    return _is_sensitive(_words(name))


def _without_userinfo(found: re.Match[str]) -> str:
    authority = found[0]
    userinfo, at, host = authority.rpartition("@")
    if not at or not (":" in userinfo or _looks_secret(userinfo)):
        return authority
    return f"{MASK}@{host}"


def _without_bearer(found: re.Match[str]) -> str:
    return found[1] + MASK if _looks_secret(found[2]) else found[0]


def _looks_secret(value: str) -> bool:
    """Return whether a bare word is more likely random than a word of a sentence."""
    has_digit = any(character.isdigit() for character in value)
    return len(value) >= 24 or (len(value) >= 6 and has_digit)  # noqa: PLR2004 - a guess that the tests pin down


def _is_sensitive(words: tuple[str, ...]) -> bool:
    return "".join(words).endswith(_SENSITIVE_ENDS) or (
        bool(words) and words[-1] in _SENSITIVE_WORDS
    )


def _words(name: str) -> tuple[str, ...]:
    """Return the name's words in small letters, without small words at its end."""
    words = [
        word.lower() for word in _WORD.findall(unquote(name) if "%" in name else name)
    ]
    while len(words) > 1 and words[-1] in _SMALL_WORDS:
        words.pop()
    return tuple(words)


def _hide_named(text: str) -> str:
    pieces: list[str] = []
    done = 0
    has_echo = "'loc'" in text or '"loc"' in text
    for start, end in _spans(text, has_echo=has_echo):
        pieces += (text[done:start], MASK)
        done = end
    if not pieces:
        return text
    pieces.append(text[done:])
    return "".join(pieces)


def _spans(text: str, *, has_echo: bool) -> Iterator[tuple[int, int]]:
    """Yield where the values of sensitive names stand, from left to right."""
    done = 0
    for separator in _SEPARATOR.finditer(text):
        at = separator.start()
        if at < done:
            continue
        name = _NAME.match(text[max(0, at - 80) : at][::-1])
        if name is None:
            continue
        spelled = name[2][::-1].lstrip("[")
        begin = at - name.end() + len(name[2]) - len(spelled)
        words = _words(spelled)
        place = _Place(
            name="".join(words),
            quote=name[1] or "",
            before=text[begin - 1] if begin > 0 else "",
            mark=separator[0],
        )
        if place.mark == "," and not (place.quote and _is_pair(text, begin)):
            continue
        if not (_is_sensitive(words) or place.is_sensitive(has_echo=has_echo)):
            continue
        start = _end_of(_BLANK, text, separator.end())
        if text.startswith(MASK, start):
            continue
        span = _value_span(text, start, place)
        if span is not None:
            yield span
            done = span[1]


class _Place(NamedTuple):
    """What stands around a name.

    Args:
        name: its words, joined.
        quote: the quotation mark behind it, if there is one.
        before: the character before it or before its quotation mark.
        mark: ``=``, ``:`` or ``,``.
    """

    name: str
    quote: str
    before: str
    mark: str

    def is_sensitive(self, *, has_echo: bool) -> bool:
        """Return whether the name is sensitive just here.

        A validation error echoes what was sent as ``input``, a driver what it was
        given as ``[parameters: ...]``.
        """
        if self.name == "input":
            return has_echo and bool(self.quote)
        if self.name == "parameters":
            return self.before == "["
        return self.name in _ONLY_IN_QUERY and self.before in {"?", "&"}


def _is_pair(text: str, begin: int) -> bool:
    """Return whether a quoted name at this place opens a pair, ``('cookie', ...)``."""
    return text[max(0, begin - 3) : max(0, begin - 1)].endswith(("(", "(b"))


def _value_span(text: str, start: int, place: _Place) -> tuple[int, int] | None:
    opening = _OPENING_QUOTE.match(text, start)
    if opening is not None:
        return _quoted_span(text, opening)
    if text[start : start + 1] in {"[", "(", "{"}:
        return start, _after_bracket(text, start)
    is_bare_colon = place.mark == ":" and not place.quote
    if is_bare_colon and place.name in _HEADERS:
        return _unless_harmless(text, start, _end_of_header(text, start, place.before))
    if not is_bare_colon:
        return _unless_harmless(text, start, _end_of(_PLAIN, text, start))
    if place.name.endswith(_PASSWORDS):
        return _unless_harmless(text, start, _end_of(_PLAIN_PASSWORD, text, start))
    end = _end_of(_PLAIN, text, start)
    # "Invalid token: expired" is a sentence.
    return (start, end) if _looks_secret(text[start:end]) else None


def _end_of_header(text: str, start: int, before: str) -> int:
    end = _end_of(_REST_OF_LINE, text, start)
    if before in {'"', "'"}:  # -H "Authorization: Bearer ..."
        found = text.find(before, start, end)
        return found if found >= 0 else end
    return end


def _quoted_span(text: str, opening: re.Match[str]) -> tuple[int, int] | None:
    start = opening.end()
    if opening[1]:  # \"...\" inside another text
        found = text.find(opening[1] + opening[2], start)
        end = found if found >= 0 else len(text)
    else:
        end = _end_of(_QUOTED[opening[2]], text, start)
    return _unless_harmless(text, start, end)


def _unless_harmless(text: str, start: int, end: int) -> tuple[int, int] | None:
    value = text[start:end].strip()
    if not value or value == MASK or value.lower() in _HARMLESS:
        return None
    return start, end


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found else start


def _after_bracket(text: str, start: int) -> int:
    depth = 0
    for bracket in _BRACKETS.finditer(text, start):
        depth += 1 if bracket[0] in "[({" else -1
        if depth == 0:
            return bracket.end()
    return len(text)
