"""What the operator is told of a server that cannot be used: what is wrong, and the
likely way out."""

import pytest
from tests.attacks.serving import free_port

from ringfence.errors import StoreError
from ringfence.stores.redis.server import open_keyspace

pytestmark = pytest.mark.anyio

WRONG = {
    "redis://127.0.0.1:{free}": "nobody listens there; is it running, on this port?",
    "redis://nowhere.invalid": "cannot be found: ",
    "redis+unix://{folder}/none.sock": "is there such a socket, and is it ours?",
    "redis://127.0.0.1:{port}/99": "refuses what its URL asks for: DB index",
    "rediss://127.0.0.1:{port}?connect_timeout=0.2": "does it speak TLS on this port?",
    "rediss://127.0.0.1:{port}?ca_file={folder}/none.pem": "see ca_file={folder}/none",
    "redis+cluster://127.0.0.1:{port}": "is it a node of a cluster",
    "redis+sentinel://127.0.0.1:{port}/main": "is it a sentinel",
}


@pytest.mark.parametrize("url", WRONG)
async def test_a_wrong_url_is_told_with_a_way_out(url, valkey, tmp_path):
    place = {"free": free_port(), "port": valkey.port, "folder": tmp_path}
    keyspace = open_keyspace(url.format(**place))
    with pytest.raises(StoreError) as refused:
        await keyspace.start()
    assert WRONG[url].format(**place) in str(refused.value)


async def test_a_missing_right_leads_to_the_rule(valkey):
    """Only there: other refusals have nothing to do with rights."""
    with valkey.client() as client:
        client.execute_command("ACL SETUSER poor reset on >hunter2 ~ringfence:*")
    keyspace = open_keyspace(f"redis://poor:hunter2@127.0.0.1:{valkey.port}")
    with pytest.raises(StoreError, match=r"docs/guides/stores\.md"):
        await keyspace.start()
