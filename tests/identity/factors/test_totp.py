"""One-time codes: the standard's, each of them once, within its minute."""

from base64 import b32decode, urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest
from tests.identity.factors.setting_up import TwoKeys, opened, with_app

from ringfence.identity.factors.qr import draw
from ringfence.identity.factors.totp import MOST_APPS, _matching

pytestmark = pytest.mark.anyio

# RFC 6238, appendix B, SHA-1; of its eight digits the last six.
VECTORS = [
    (59, "287082"),
    (1_111_111_109, "081804"),
    (1_111_111_111, "050471"),
    (1_234_567_890, "005924"),
    (2_000_000_000, "279037"),
    (20_000_000_000, "353130"),
]
VECTOR_SECRET = b"12345678901234567890"


@pytest.mark.parametrize(("now", "code"), VECTORS)
def test_codes_are_those_of_the_standard(now, code):
    assert _matching(VECTOR_SECRET, code, now, above=-1) == now // 30


async def apps_of(setup):
    return (await setup.factors.held(setup.ann.id)).totp


async def verified(setup, code):
    return await setup.factors.totp.verify(await apps_of(setup), code)


async def test_an_enrolment_is_what_apps_understand(setup):
    enrolment = setup.factors.totp.enrol(setup.ann)
    uri = urlsplit(enrolment.uri)
    query = {name: value for name, (value,) in parse_qs(uri.query).items()}
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert unquote(uri.path) == "/The shop:Ann@example.com"
    assert query == {
        "secret": enrolment.secret.replace(" ", "").upper(),
        "issuer": "The shop",
    }
    assert len(b32decode(query["secret"])) * 8 == 160


async def test_every_enrolment_has_a_secret_of_its_own(setup):
    once, twice = (setup.factors.totp.enrol(setup.ann) for _ in range(2))
    assert once.secret != twice.secret


async def test_an_enrolment_alone_is_no_factor(setup):
    """Whoever gives up half-way is not locked out."""
    setup.factors.totp.enrol(setup.ann)
    assert not (await setup.factors.held(setup.ann.id)).is_guarded


async def test_the_first_code_makes_the_factor_and_is_used_up(setup):
    app, _ = await with_app(setup, label="Telephone")
    (made,) = await apps_of(setup)
    assert (made.kind, made.label, made.created) == ("totp", "Telephone", 1_000_020.0)
    assert not await verified(setup, app.at(setup.clock.now))
    setup.clock.now += 30
    assert await verified(setup, app.at(setup.clock.now))


async def test_the_secret_is_sealed_for_its_account(setup):
    """A copy of the database computes no codes, and a row moved to another account is
    worth nothing there."""
    app, _ = await with_app(setup)
    (made,) = await apps_of(setup)
    secret = b32decode(app.secret.upper())
    assert secret not in made.secret
    assert secret.hex().encode() not in made.secret
    moved = made._replace(account_id=setup.bob.id, counter=-1)
    setup.clock.now += 30
    code = app.at(setup.clock.now)
    assert not await setup.factors.totp.verify([moved], code)
    assert await verified(setup, code)


@pytest.mark.parametrize(
    ("late", "good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
async def test_a_clock_may_be_a_step_off(setup, late, good):
    app, _ = await with_app(setup)
    setup.clock.now += 300
    assert await verified(setup, app.at(setup.clock.now + 30 * late)) is good


async def test_a_code_is_good_once(setup):
    """RFC 6238, 5.2: what was read over a shoulder is worth nothing."""
    app, _ = await with_app(setup)
    setup.clock.now += 60
    code = app.at(setup.clock.now)
    assert await verified(setup, code)
    assert not await verified(setup, code)
    setup.clock.now += 29
    assert not await verified(setup, code)


async def test_no_older_code_after_a_newer_one(setup):
    """Who has used the code of the next step, since the telephone is fast, has used up
    those before it as well."""
    app, _ = await with_app(setup)
    setup.clock.now += 300
    assert await verified(setup, app.at(setup.clock.now + 30))
    assert not await verified(setup, app.at(setup.clock.now))
    setup.clock.now += 30
    assert not await verified(setup, app.at(setup.clock.now))
    setup.clock.now += 30
    assert await verified(setup, app.at(setup.clock.now))


async def test_an_enrolment_ends_after_ten_minutes(setup):
    enrolment = setup.factors.totp.enrol(setup.ann)
    app = pyotp.TOTP(enrolment.secret.replace(" ", ""))
    setup.clock.now += 599
    assert setup.factors.totp.again(setup.ann, enrolment.text) == enrolment
    setup.clock.now += 1
    assert setup.factors.totp.again(setup.ann, enrolment.text) is None
    refused = await setup.factors.confirm_app(
        setup.ann, enrolment.text, app.at(setup.clock.now), label=""
    )
    assert refused.code == "identity.enrolment_over"
    assert await apps_of(setup) == ()


async def test_an_enrolment_is_for_its_account_alone(setup):
    """Mallory's secret, posted from a form in Ann's browser, does not become hers."""
    enrolment = setup.factors.totp.enrol(setup.bob)
    assert setup.factors.totp.again(setup.ann, enrolment.text) is None


async def test_an_enrolment_ends_with_a_change_of_password(setup):
    """A thief who had begun before the owner threw them out cannot finish after it."""
    enrolment = setup.factors.totp.enrol(setup.ann)
    app = pyotp.TOTP(enrolment.secret.replace(" ", ""))
    epoch = await setup.stores.accounts.set_password(setup.ann.id, "new", epoch=0)
    refused = await setup.factors.confirm_app(
        setup.ann, enrolment.text, app.at(setup.clock.now), label=""
    )
    assert refused.code == "identity.first_code_wrong"
    changed = replace(setup.ann, epoch=epoch)
    assert setup.factors.totp.again(changed, enrolment.text) is None
    assert await apps_of(setup) == ()


async def test_an_enrolment_makes_one_factor(setup):
    enrolment = setup.factors.totp.enrol(setup.ann)
    app = pyotp.TOTP(enrolment.secret.replace(" ", ""))
    for expected in (True, False):
        setup.clock.now += 30
        refused = await setup.factors.confirm_app(
            setup.ann, enrolment.text, app.at(setup.clock.now), label=""
        )
        assert (refused is None) is expected
    assert len(await apps_of(setup)) == 1


@pytest.mark.parametrize(
    "text", ["", "A", "AAAA", "=" * 40, "ä" * 40, "A" * 513, "A" * 120]
)
async def test_what_is_no_enrolment_is_refused(setup, text):
    refused = await setup.factors.confirm_app(setup.ann, text, "123456", label="")
    assert refused.code == "identity.enrolment_over"
    assert await setup.factors.totp.confirm(setup.ann, text, "123456") is None


async def test_a_changed_enrolment_is_refused(setup):
    text = setup.factors.totp.enrol(setup.ann).text
    raw = bytearray(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[20] ^= 1
    changed = urlsafe_b64encode(raw).rstrip(b"=").decode()
    assert setup.factors.totp.again(setup.ann, changed) is None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "१२३४५६"])
async def test_what_is_no_code_confirms_nothing(setup, code):
    enrolment = setup.factors.totp.enrol(setup.ann)
    refused = await setup.factors.confirm_app(setup.ann, enrolment.text, code, label="")
    assert refused.code == "identity.first_code_wrong"
    assert refused.status == 422


async def test_an_owner_may_have_a_few_apps(setup):
    """A new telephone is set up before the old one goes; but with every app more, a
    guess is likelier."""
    apps = [(await with_app(setup))[0] for _ in range(MOST_APPS)]
    setup.clock.now += 30
    for app in apps:
        assert await verified(setup, app.at(setup.clock.now))
    enrolment = setup.factors.totp.enrol(setup.ann)
    one_more = pyotp.TOTP(enrolment.secret.replace(" ", ""))
    refused = await setup.factors.confirm_app(
        setup.ann, enrolment.text, one_more.at(setup.clock.now), label=""
    )
    assert refused.code == "identity.first_code_wrong"


async def test_secrets_outlive_a_rotation_of_keys(setup):
    app, _ = await with_app(setup)
    setup.clock.now += 30
    rotated = opened(setup.stores, clock=setup.clock, keys=TwoKeys("two", "one"))
    assert await verified(rotated, app.at(setup.clock.now))
    setup.clock.now += 30
    forgotten = opened(setup.stores, clock=setup.clock, keys=TwoKeys("two"))
    assert not await verified(forgotten, app.at(setup.clock.now))


async def test_a_name_with_a_colon_names_nobody_else(setup):
    """The colon separates issuer and account in the address that an app reads."""
    other = replace(setup.ann, email="shop:ann@example.com")
    uri = setup.factors.totp.enrol(other).uri
    assert unquote(urlsplit(uri).path) == "/The shop:shop ann@example.com"


async def test_a_long_name_is_cut_so_that_a_code_can_be_drawn(setup):
    """Its letters take up to twelve characters each there."""
    other = replace(setup.ann, email="a@" + "\N{CJK UNIFIED IDEOGRAPH-20000}" * 200)
    drawn = draw(setup.factors.totp.enrol(other).uri)
    assert drawn.path
