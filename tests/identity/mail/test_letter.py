"""What is in a letter, and that nobody but us puts it there."""

from email.headerregistry import Address

import pytest

from ringfence.errors import DeliveryError
from ringfence.identity.mail.letter import Letter
from ringfence.identity.mail.letters import Letters
from ringfence.identity.mail.render import LetterTemplates

SENDER = Address(username="shop", domain="example.com")
LINES = ["\r\n", "\n", "\r", "\0", "\x1b", "\u2028", "\x85"]


def letters(templates=None, site_name="The shop"):
    return Letters(LetterTemplates(site_name=site_name, templates=templates).fill)


def notice(**values):
    told = {
        "title": "Hello",
        "sentence": "Something happened.",
        "email": "ann@example.com",
        "at": "now",
        "device": "",
        "forgot": "",
        **values,
    }
    return letters().write(
        "notice", kind="notice", account="id", to="ann@example.com", **told
    )


@pytest.mark.parametrize("line", LINES)
def test_an_address_begins_no_header(line):
    """A letter to whomever, in our name (CWE-93)."""
    for to in (
        f"ann@example.com{line}Bcc: eve@example.com",
        f"ann{line}Bcc: x@example.com",
    ):
        with pytest.raises(DeliveryError) as refused:
            Letter("k", "id", to, "Hello", "t", "h").message(SENDER)
        assert refused.value.lasting


@pytest.mark.parametrize("line", ["\r\n", "\n", "\r"])
def test_a_subject_begins_no_header(line):
    subject = f"Hello{line}Bcc: eve@example.com"
    with pytest.raises(DeliveryError):
        Letter("k", "id", "ann@example.com", subject, "t", "h").message(SENDER)


@pytest.mark.parametrize("to", ["", "ann", "@", "a@b..c", "a@ü" + "b" * 70])
def test_what_is_no_address_gets_no_letter(to):
    with pytest.raises(DeliveryError) as refused:
        Letter("k", "id", to, "Hello", "t", "h").message(SENDER)
    assert refused.value.lasting


def test_a_letter_does_not_show_itself():
    """Its link opens an account; a log must not have it."""
    shown = repr(Letter("reset", "id-ann", "ann@example.com", "s", "secret", "secret"))
    assert shown == "Letter(kind='reset', account='id-ann')"


def test_what_goes_into_html_is_escaped():
    """A name of a key or a browser is no markup; in the text it is as it was."""
    letter = notice(sentence="<img src=x onerror=alert(1)>")
    assert "<img" not in letter.html
    assert "&lt;img" in letter.html
    assert "<img" in letter.text


def test_an_application_has_letters_of_its_own(tmp_path):
    """By the names of ours, in the folder ``mail`` of its templates."""
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "notice.txt").write_text("Subject: Ours\n\n{{ sentence }}")
    written = letters(tmp_path).write(
        "notice",
        kind="notice",
        account="id",
        to="a@b.example",
        title="t",
        sentence="s",
        email="e",
        at="now",
        device="",
        forgot="",
    )
    assert (written.subject, written.text) == ("Ours", "s")
    assert "<!doctype html>" in written.html


def test_a_letter_loads_nothing():
    """No picture that tells somebody that it was opened."""
    for html in (notice().html,):
        assert "src=" not in html
        assert "url(" not in html
