import os

import pytest

from ringfence.secrets.private_file import forbidden_bits


@pytest.mark.parametrize(
    ("owner", "group", "user", "refused"),
    [
        (0, 10001, 10001, 0o037),  # as Kubernetes hands it to a group (fsGroup)
        (0, 10002, 10001, 0o077),  # another group's
        (10001, 10001, 10001, 0o077),  # who owns it needs no group
        (0, 0, 0, 0o077),  # neither does root
    ],
)
def test_only_a_file_of_root_may_be_read_by_our_group(owner, group, user, refused):
    found = os.stat_result((0o100440, 0, 0, 1, owner, group, 0, 0, 0, 0))
    assert forbidden_bits(found, user=user, groups={10001, user}) == refused
