"""A refresh token in the wrong hands (RFC 9700, section 4.14; CWE-294, CWE-613).

Mallory has copied Alice's refresh token: from a backup, or a log of a proxy.
"""

import pytest
from tests.attacks.tokens import CAFE, running_careful, running_careless


@pytest.fixture(scope="module")
def off(tmp_path_factory):
    with running_careless(tmp_path_factory.mktemp("off")) as side:
        yield side


@pytest.fixture(scope="module")
def on(tmp_path_factory):
    with running_careful(tmp_path_factory.mktemp("on")) as side:
        yield side


def test_a_stolen_refresh_token_ends_what_it_was_stolen_from(off, on):
    """Alice has used it; Mallory comes later, from elsewhere."""
    for side, succeeds in ((off, True), (on, False)):
        with side.client() as alice, side.client(CAFE, "Thief/1.0") as mallory:
            stolen = side.sign_in(alice)
            hers = side.refresh(alice, stolen)
            assert side.reads(alice, hers)
            got = side.refresh(mallory, stolen)
            assert bool(got) is succeeds
            assert side.reads(alice, hers) is succeeds  # and Alice is warned


def test_who_was_first_is_found_out_when_the_other_comes(off, on):
    """Mallory was quicker: Alice's next refresh takes everything from both."""
    for side, goes_on in ((off, True), (on, False)):
        with side.client() as alice, side.client(CAFE, "Thief/1.0") as mallory:
            stolen = side.sign_in(alice)
            got = side.refresh(mallory, stolen)
            assert side.reads(mallory, got)
            side.refresh(alice, stolen)
            assert side.reads(mallory, got) is goes_on
            assert bool(side.refresh(mallory, got)) is goes_on


def test_the_ledger_says_so(on):
    before = len(reuses(on))
    with on.client() as alice, on.client(CAFE, "Thief/1.0") as mallory:
        stolen = on.sign_in(alice)
        on.refresh(alice, stolen)
        on.refresh(mallory, stolen)
    (event,) = reuses(on)[before:]
    assert (event["level"], event["client"]) == ("CRITICAL", CAFE)


def reuses(side):
    return [one for one in side.ledger() if one["event"] == "authn_token_reuse"]


def test_alice_whose_answer_was_lost_asks_again(on):
    """And nobody takes her for a thief."""
    before = len(reuses(on))
    with on.client() as alice:
        tokens = on.sign_in(alice)
        answers = [on.refresh(alice, tokens) for _ in range(2)]
        assert answers[0]["refresh_token"] == answers[1]["refresh_token"]
        tokens = answers[0]
        for _ in range(3):
            tokens = on.refresh(alice, tokens)
            assert on.reads(alice, tokens)
    assert len(reuses(on)) == before


def test_an_access_token_tells_nobody_how_to_end_its_family(on):
    """Services write them into logs, and ``sid`` stands in them."""
    with on.client() as alice, on.client(CAFE, "Thief/1.0") as mallory:
        tokens = on.sign_in(alice)
        made_up = {"refresh_token": "rfr_" + tokens["refresh_token"][4:36] + "A" * 59}
        assert on.refresh(mallory, made_up) is None
        assert on.reads(alice, tokens)
        assert on.refresh(alice, tokens)
