"""Keys that take turns: nothing that was signed is refused while they do."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from ringfence.errors import SettingsError
from ringfence.secrets import keys_file
from ringfence.secrets.keyring import Keyring
from ringfence.secrets.keys_file import (
    Key,
    create_keys_file,
    list_keys_file,
    rotate_keys_file,
)

PURPOSE = "identity.access-token"
DAY = 24 * 3600


class Clock:
    """A clock that tests move."""

    def __init__(self, path):
        self.now = float(json.loads(path.read_text())["keys"][0]["created"])

    def __call__(self):
        return self.now


@pytest.fixture
def path(tmp_path):
    create_keys_file(tmp_path / "keys.json")
    return tmp_path / "keys.json"


@pytest.fixture
def clock(path):
    return Clock(path)


def opened(path, clock):
    ring = Keyring(path, create=False, clock=clock)
    ring.open()
    return ring


def rotate(path, clock, *, wait=600, keep=31 * DAY):
    return rotate_keys_file(path, wait=wait, keep=keep, now=clock())


def test_at_every_moment_every_process_takes_what_any_of_them_signs(path, clock):
    """Three processes: one reads the new file at once, one a minute later, and one was
    started in between. Whatever any of them signs, each of them verifies."""
    early, late = opened(path, clock), opened(path, clock)
    processes = [early, late]
    signed = set()

    def all_agree():
        signed.update(one.derive(PURPOSE) for one in processes)
        for one in processes:
            assert signed <= set(one.derive_all(PURPOSE))

    for _ in range(3):
        rotate(path, clock)
        assert early.reread()
        all_agree()
        processes.append(opened(path, clock))
        all_agree()
        clock.now += 60
        assert late.reread()
        for one in processes:
            one.reread()
        all_agree()
        clock.now += 539  # nobody signs with it yet
        before = early.derive(PURPOSE)
        all_agree()
        clock.now += 1  # and now all of them do, without reading anything
        assert {one.derive(PURPOSE) for one in processes} == {early.derive(PURPOSE)}
        assert early.derive(PURPOSE) != before
        all_agree()
        clock.now += DAY


def test_deriving_does_not_undo_what_was_read_meanwhile(path, clock):
    """The file is read in a thread; a key that was removed must not come back."""
    rotate(path, clock)
    ring = opened(path, clock)
    waiting, first = list_keys_file(path)
    rereads = []

    def slow():
        if not rereads:
            rereads.append(True)
            keys_file.remove_key(path, waiting.id, now=clock())
            assert ring.reread()
        return clock()

    ring._clock = slow
    ring.derive_all(PURPOSE)
    assert len(ring.derive_all(PURPOSE)) == 1
    assert first.id == list_keys_file(path)[0].id


def test_clocks_that_differ_change_nothing(path, clock):
    """The one ahead signs with the new key; the one behind knows it already."""
    behind = opened(path, lambda: clock.now - 60)
    ahead = opened(path, lambda: clock.now + 60)
    rotate(path, clock)
    behind.reread()
    ahead.reread()
    clock.now += 600
    assert ahead.derive(PURPOSE) != behind.derive(PURPOSE)
    assert ahead.derive(PURPOSE) in behind.derive_all(PURPOSE)
    assert behind.derive(PURPOSE) in ahead.derive_all(PURPOSE)


def test_the_same_tuple_is_given_until_keys_change(path, clock):
    """Who has made something of the keys need not look at them each time."""
    ring = opened(path, clock)
    first = ring.derive_all(PURPOSE)
    assert not ring.reread()
    assert ring.derive_all(PURPOSE) is first
    rotate(path, clock)
    ring.reread()
    second = ring.derive_all(PURPOSE)
    assert second is ring.derive_all(PURPOSE)
    assert second[0] == first[0]
    assert len(second) == 2
    clock.now += 600
    assert ring.derive_all(PURPOSE) == second[::-1]


def test_a_retired_key_verifies_nothing_and_opens_what_is_kept(path, clock):
    ring = opened(path, clock)
    first = ring.derive(PURPOSE)
    for wait in (600, 31 * DAY):
        rotate(path, clock)
        clock.now += wait
    rotated = rotate(path, clock)
    ring.reread()
    assert len(rotated.retired) == 1
    assert first not in ring.derive_all(PURPOSE)
    assert ring.derive_kept(PURPOSE)[-1] == first
    assert ring.derive_kept(PURPOSE)[0] == ring.derive(PURPOSE)


def test_a_key_is_kept_for_as_long_as_was_asked(path, clock):
    """From when another one has taken its place, not from when that was written."""
    rotate(path, clock, wait=600)
    clock.now += 600 + DAY - 1
    assert rotate(path, clock, wait=60, keep=DAY).retired == ()
    clock.now += 61
    assert len(rotate(path, clock, wait=60, keep=DAY).retired) == 1


def test_a_second_rotation_waits_for_the_first(path, clock):
    rotate(path, clock)
    with pytest.raises(SettingsError, match="still waiting"):
        rotate(path, clock)


def test_of_rotations_at_once_exactly_one_happens(path, clock):
    """None loses the key that another one has added."""

    def attempt(_):
        try:
            return rotate(path, clock).added.id
        except SettingsError:
            return None

    with ThreadPoolExecutor(8) as pool:
        added = [one for one in pool.map(attempt, range(16)) if one]
    assert len(added) == 1
    assert list_keys_file(path)[0].id == added[0]
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.json"]


def test_the_file_keeps_its_mode_and_a_link_stays_a_link(path, clock, tmp_path):
    link = tmp_path / "link.json"
    link.symlink_to(path)
    path.chmod(0o400)
    rotate(link, clock)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert len(list_keys_file(path)) == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("{"),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
        lambda path: path.chmod(0o644),
        lambda path: (path.unlink(), create_keys_file(path)),
    ],
    ids=["damaged", "empty", "gone", "exposed", "replaced"],
)
def test_a_file_that_is_no_rotation_changes_nothing(path, clock, spoil):
    """Else a slip with the file would sign out everybody, and let in whoever can write
    there."""
    ring = opened(path, clock)
    before = ring.derive_all(PURPOSE)
    spoil(path)
    for _ in range(2):
        with pytest.raises(SettingsError):
            ring.reread()
        assert ring.derive_all(PURPOSE) == before


def test_a_file_in_which_no_key_may_sign_is_refused(path, clock):
    said = json.loads(path.read_text())
    said["keys"][0]["retired"] = 1
    path.write_text(json.dumps(said))
    with pytest.raises(SettingsError, match="none may sign"):
        opened(path, clock)


def test_a_clock_that_is_far_behind_still_has_a_key(path, clock):
    """A machine whose clock is wrong at the start signs with the oldest key."""
    oldest = opened(path, clock).derive(PURPOSE)
    rotate(path, clock)
    assert opened(path, lambda: 0.0).derive(PURPOSE) == oldest


def test_a_full_file_says_what_to_remove(path, clock, monkeypatch):
    monkeypatch.setattr(keys_file, "MOST_KEYS", 1)
    with pytest.raises(SettingsError, match="ringfence keys remove"):
        rotate(path, clock)


def test_a_folder_that_cannot_be_written_is_told(path, clock, monkeypatch):
    def fail(*_):
        raise PermissionError(13, "Permission denied")

    before = path.read_bytes()
    monkeypatch.setattr(keys_file, "_write", fail)
    with pytest.raises(SettingsError, match="cannot be replaced"):
        rotate(path, clock)
    assert path.read_bytes() == before
    with pytest.raises(SettingsError, match="cannot be replaced"):
        rotate(path.parent / "nowhere" / "keys.json", clock)


def test_an_unopened_ring_is_opened_by_the_first_look(path, clock):
    ring = Keyring(path, create=False, clock=clock)
    assert ring.reread()
    assert ring.derive(PURPOSE)


def test_what_is_shown_of_a_key_is_its_name():
    assert "AAAA" not in repr(Key("a", 1, "AAAA", 5))
    assert "AAAA" not in repr(keys_file.Generation(1, retired=False, material=b"AAAA"))
