"""What honest people write: at least two thousand values that no sink may object to.

Names with apostrophes, code, mathematics, lessons about SQL, HTML and the shell, every
script, emoji. Written for this project; sentences are put together from parts, so that
each kind of punctuation meets each kind of word.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

_GIVEN = (
    "Aoife", "Seán", "Ngũgĩ", "José", "Zoë", "Łukasz", "Bjørn", "Đặng", "Þóra", "İpek",
    "Null", "True", "Drop", "Select", "Union", "Alter", "Jean-Luc", "Mary Ann", "X Æ",
    "Ann; Bob",
)  # fmt: skip
_FAMILY = (
    "O'Brien", "D'Angelo", "O’Neill", "N'Diaye", "Van 't Hoff", "'t Hart", "L'Écuyer",
    "Ó Súilleabháin", "McDonald--Smith", "al-Ḥasan", "Test", "Null", "Table", "Or",
    "And", "Where", "Like", "Between", "Select-Committee", "D’Souza",
)  # fmt: skip

_PRODUCTS = (
    "1/2\" bolt", "3' x 5' rug", "50% off", "C&A jacket", "Tom & Jerry DVD", "AT&T plan",
    "M&M's", "Levi's 501", "4x4 tyre", "#10 envelope", "@home router", "A/C unit",
    "size <L>", "R2-D2 toy", "USB-C -> HDMI", "10' ladder; steel", "O-ring (pack of 5)",
    "\"Best\" mug", "-20°C gel", "+5 dioptre lens", "=sign poster", "100 %_pure wool",
    "don't panic towel", "rock 'n' roll LP", "$5 note holder", "`tick` stickers",
)  # fmt: skip
_REMARKS = (
    "it's the best I've had", "5 > 4, isn't it?", "a < b && b > c", "I <3 it", "<- this",
    "1 or 2 would do", "not null and void", "price: $5; was $10 -- bargain",
    "see *footnote", "he said \"no\"", "50% AND falling", "drop me a line; table for two",
    "select a colour, or union of both", "where is it? like, seriously",
    "order by Friday", "insert coin", "update: arrived", "delete my last remark",
    "2 * 3 = 6", "x' is the derivative", "C:\\temp\\new is empty", "a\\b", "(sic)",
    "AND 1=1 is a tautology", "use `ls` then cat file", "../docs is the folder",
    "{curly} [square] (round)", "100% sure?!", "#hashtag @handle", "e.g. a|b", "end.",
    "line one\nline two", "tab\there", "😀👍🏽 great", "~/notes is home", "x||y", "a && b",
    "'quoted'", "\"\"", "''", "--", ";", "/* not a comment */", "<!-- hm -->", "null",
)  # fmt: skip

_SQL_LESSONS = (
    "SELECT * FROM users WHERE email = 'a@example.com'",
    "SELECT name, price FROM products ORDER BY price DESC LIMIT 10",
    "In SQL, ' OR '1'='1 makes a condition true",
    "'; DROP TABLE users; -- is the classic",
    "UNION SELECT null, null joins two results",
    "INSERT INTO t VALUES (1, 'one'), (2, 'two');",
    "UPDATE accounts SET balance = balance - 10 WHERE id = 7",
    "DELETE FROM carts WHERE created < now() - interval '30 days'",
    "CREATE INDEX ON orders (user_id, created DESC)",
    "LIKE '100\\%' ESCAPE '\\'",
    "WITH t AS (SELECT 1) SELECT * FROM t",
    "COALESCE(nickname, name, 'nobody')",
    "-- a comment ends with the line",
    "/* and this one with */",
    "BEGIN; COMMIT; ROLLBACK;",
    "a ''doubled'' quote",
    "$$dollar quoted$$ and E'\\n'",
    "id IN (1, 2, 3) AND NOT deleted",
)
_HTML_LESSONS = (
    "<b>bold</b> and <i>italic</i>",
    "<script>alert('hello')</script> runs a script",
    '<a href="https://example.com">link</a>',
    "use &lt; for <",
    "<img src=x onerror=alert(1)> is an attack",
    "<!doctype html><title>t</title>",
    "a<b, b>c",
    "<div class='a' id=\"b\">text</div>",
    "</p> closes <p>",
    "<svg/onload=x> in lesson 3",
    "javascript:void(0) links do nothing",
    "&amp;amp; is an escaped &amp;",
    "{{ user.name }} shows the name",
    "{% if x %}…{% endif %}",
    "${value} in a template",
    "<%= erb %>",
)
_SHELL_LESSONS = (
    "ls -la | grep '^d' > out.txt",
    "rm -rf ./build && mkdir build",
    "echo $HOME `pwd` $(date)",
    "tar --exclude='*.o' -czf a.tgz .",
    'for f in *.txt; do cat "$f"; done',
    "find . -name '*.py' -exec wc -l {} \\;",
    "cat < in > out 2>&1 &",
    "a=1; export a",
    "sudo apt-get install foo # as root",
    "curl https://example.com | sh",
    "test -f x || exit 1",
    "printf '%s\\n' \"$@\"",
    "ffmpeg -i input.mp4 output.mp4; rm -rf / is command injection",
    "~/.ssh/config, /etc/hosts, ../up",
)
_CODE = (
    "if (a && b || !c) { return x[0] ?? 'd'; }",
    "def f(x): return x ** 2  # square",
    "const s = `hello ${name}`;",
    'print("it\'s")',
    "import os; os.system('ls')",
    "eval('1+1')",
    "let v: Vec<&'a str> = vec![];",
    "#include <stdio.h>",
    "std::cout << \"a\" << '\\n';",
    "SELECT(x) -> y",
    "(lambda x: x+1)(2)",
    "x = y if z else None",
    "regex: ^(a+)+$ backtracks",
    "[a-z]*\\d{2,3}?",
    '{"a": {"$ne": null}}',
    '{"$where": "this.a == 1"}',
    "(&(uid=ann)(objectClass=person))",
    "cn=Ann,ou=People,dc=example",
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    "pickle.loads(data)",
    "!!python/object:os.system",
    "key: [a, b] # yaml",
    "=SUM(A1:A9)",
    "@import url(x.css);",
    "color: red; background: url(x.png)",
    "git commit -m 'fix: don\\'t'",
    "http://localhost:8000/a?b=c#d",
    "file:///etc/hosts",
    "C:\\Windows\\System32\\drivers\\etc",
    "\\\\server\\share",
    "%s %d %%",
    "\\u0027 is an apostrophe",
    "%27 is one, too",
    "base64: JyBPUiAnMSc9JzE=",
    "0x27",
    "0b1010 | 0o17",
    "a ? b : c",
    "i++; j--;",
    "fn main() {}",
    "SELECT",
)
_MATHEMATICS = (
    "x' + y'' = 0", "1 + 1 = 2", "a² + b² = c²", "∀x ∈ ℝ: x² ≥ 0", "f: A → B",
    "3 < 4 > 2", "5 - -3 = 8", "|x - y| <= ε", "{x | x > 0}", "n! / (k! (n-k)!)",
    "50 % of 10", "10^-3", "p || q && !r", "-1", "+1", "1e-9", "0.1 + 0.2", "1/0", "½",
    "∫₀^∞ e^{-x} dx = 1", "≠ ≈ ± √2", "dy/dx", "A ∪ B \\ C", "2*(3+4)", "x_1, x_2",
    "--5", "NaN", "Infinity", "1_000_000", "1,5", "-0", "٣ + ٤", "一 + 二",
)  # fmt: skip
_LANGUAGES = (
    "Wie geht's dir heute?", "Qu'est-ce que c'est ?", "L'anno è finito; c'è festa",
    "¿Cómo estás? ¡Bien!", "Dobrý den, pane O'Hara", "Zażółć gęślą jaźń", "Привет, мир!",
    "Γειά σου Κόσμε", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "হ্যালো বিশ্ব",
    "வணக்கம் உலகம்", "ສະບາຍດີ", "สวัสดีชาวโลก", "你好,世界", "こんにちは世界", "안녕하세요 세계",
    "Xin chào thế giới", "Merhaba Dünya İıŞş", "Pozdrav svijete", "Sveika pasaule",
    "Labas pasauli", "Tere maailm", "Hei maailma", "Halló heimur", "Héllo wörld",
    "ħelow dinja", "Բարեւ աշխարհ", "გამარჯობა მსოფლიო", "ជំរាបសួរ", "မင်္ဂလာပါ",
    "ሰላም ልዑል", "ᏏᏲ ᎡᎶᎯ", "ᐊᐃ ᓄᓇ", "ꦲꦭꦺꦴ", "𐌷𐌰𐌹𐌻𐍃", "Ṣàngó ń kọ́", "ʻOkina o Hawaiʻi",
    "‘single’ “double” «angle» „low“", "全角'OR'です", "ﬁne ligature", "ａｂｃ", "e\u0301",
    "👩‍👩‍👧‍👦 family", "🇮🇪🇳🇬", "☃️❄️", "♥️ ♠️", "\u200fright-to-left\u200e", "ẞß", "ſ",
)  # fmt: skip
_THINGS = (
    "ann@example.com", "o'brien+shop@example.com", "+353 (0)1 555-0123", "2026-11-23",
    "10:30; room 5", "€5,-", "£3.50", "ISBN 0-306-40615-2", "AB12 3CD", "Apt #4/2",
    "St. John's Rd. 5", "5th & Main", "report (final) v2.pdf", "a b.txt", "résumé.doc",
    "O'Brien's CV.pdf", "my--file.txt", "photo.JPG", "..hidden", "notes...", "a;b.csv",
    "x&y.png", "100%.txt", "[draft].md", "https://example.com/a?b=1&c=2#d", "www.x.org",
    "192.168.0.1", "10.0.0.0/8", "::1", "00:1B:44:11:3A:B7", "#ff8800", "v1.2.3-rc.1",
    "0123456789", "true", "false", "null", "undefined", "None", "nil", "NULL", "or", "and",
    "a", "1", "id", "name", "*", "?", "%", "_", "'", "\"", "\\", "<", ">", "&", "=", "-",
)  # fmt: skip

_FRAMES = (
    "{}", "I learned that {} today", "Q: {}?", "({})", "{} -- thanks", "re: {}; see below",
)  # fmt: skip


def values() -> tuple[str, ...]:
    """Return every honest value once, in a stable order."""
    return tuple(dict.fromkeys(_all()))


def _all() -> Iterator[str]:
    for given, family in product(_GIVEN, _FAMILY):
        yield f"{given} {family}"
    for thing, remark in product(_PRODUCTS, _REMARKS):
        yield f"{thing}: {remark}"
    lessons = (*_SQL_LESSONS, *_HTML_LESSONS, *_SHELL_LESSONS, *_CODE)
    for text, frame in product(lessons, _FRAMES):
        yield frame.replace("{}", text)
    for text in (*_MATHEMATICS, *_LANGUAGES, *_THINGS, *_PRODUCTS, *_REMARKS):
        yield text
    yield "\n".join(_SQL_LESSONS)
    yield "\n\n".join((*_HTML_LESSONS, *_SHELL_LESSONS))
    yield "\r\n".join(_CODE)
    yield " ".join(_LANGUAGES)
