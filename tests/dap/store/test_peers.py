"""Peers in a store: sealed, told apart by their servers, and how many tasks each has."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from secagg.dap.messages import Interval
from secagg.dap.peer_file import AggregatorPeer, new_peers
from secagg.dap.store import schema
from secagg.dap.store.engine import Store
from secagg.dap.store.peers import (
    PeerRecord,
    add_advertised,
    add_peer,
    count_advertised,
    delete_peer,
    list_peers,
    lock_peer,
    was_deleted,
)
from secagg.dap.store.tasks import delete_task
from secagg.dap.store.vault import Vault
from secagg.dap.task_file import CollectorKey
from secagg.dap.taskprov import advertised_task
from secagg.errors import LocalProtocolError

from ...support.tasks import HELPER_URL, LEADER_URL, NOW, make_task
from ...support.world import Urls

PEER = new_peers(LEADER_URL, HELPER_URL, CollectorKey.generate())["leader"]
assert isinstance(PEER, AggregatorPeer)
SECRETS = PEER.secrets
DAY = 86_400
BUCKET = int(NOW) // 300


@pytest.fixture
def store(dap_urls: Urls) -> Iterator[Store]:
    made = Store(dap_urls.leader, Vault(bytes(32)))
    yield made
    made.close()


def added(store: Store, leader: str = LEADER_URL, helper: str = HELPER_URL) -> PeerRecord:
    with store.write() as tx:
        return add_peer(tx, leader, helper, SECRETS, NOW)


def test_peers_are_found_again_with_their_secrets(store: Store) -> None:
    one, other = added(store), added(store, helper="https://other.example")
    with store.read() as tx:
        assert list_peers(tx) == [one, other]
        row = tx.execute(select(schema.peers)).first()
    assert SECRETS.verify_key not in row.secrets
    assert SECRETS.peer_token not in row.secrets


def test_a_peer_that_was_changed_does_not_open(store: Store) -> None:
    added(store)
    with store.write() as tx:
        tx.execute(schema.peers.update().values(helper="https://attacker.example"))
        with pytest.raises(LocalProtocolError, match="was changed"):
            list_peers(tx)


def test_two_servers_have_one_peer(store: Store) -> None:
    added(store)
    for leader in (LEADER_URL, LEADER_URL.rstrip("/"), LEADER_URL.replace("https", "HTTPS")):
        with pytest.raises(LocalProtocolError, match="here already: delete it first"):
            added(store, leader)


def test_which_tasks_are_a_peers(store: Store) -> None:
    peer = added(store)
    assert peer.has("https://LEADER.example:443/dap", HELPER_URL + "/")
    for urls in ((HELPER_URL, LEADER_URL), ("http://leader.example/dap", HELPER_URL), (LEADER_URL, LEADER_URL)):
        assert not peer.has(*urls)
    with pytest.raises(LocalProtocolError, match="write it like"):
        peer.has("https://leader.example?x", HELPER_URL)


def test_a_deleted_peer_is_gone(store: Store) -> None:
    peer = added(store)
    with store.write() as tx:
        delete_peer(tx, peer.key)
    with store.write() as tx:
        assert list_peers(tx) == []
        with pytest.raises(LocalProtocolError, match="there is no such peer here"):
            delete_peer(tx, peer.key)
        with pytest.raises(LocalProtocolError, match="the peer of this task was deleted here"):
            lock_peer(tx, peer)
    assert added(store).leader_url == LEADER_URL


def test_tasks_are_counted_by_peer_by_end_and_by_day(store: Store) -> None:
    peer, other = added(store), added(store, helper="https://other.example")
    for number, (interval, created) in enumerate(
        [(Interval(BUCKET, 1), NOW), (Interval(BUCKET, 288), NOW - DAY - 1), (None, NOW), (Interval(BUCKET, 288), NOW)]
    ):
        task = advertised_task(make_task(task_info=b"%d" % number, interval=interval).encoded)
        with store.write() as tx:
            lock_peer(tx, peer)
            assert add_advertised(tx, peer, task, SECRETS, created).task == task
    with store.read() as tx:
        assert count_advertised(tx, peer, NOW) == (4, 3)
        assert count_advertised(tx, peer, NOW + 300) == (3, 3)
        assert count_advertised(tx, peer, NOW + 2 * DAY) == (1, 0)
        assert count_advertised(tx, other, NOW) == (0, 0)
        assert not was_deleted(tx, task.id)
    with store.write() as tx:
        delete_task(tx, task.id)
    with store.read() as tx:
        assert count_advertised(tx, peer, NOW) == (3, 3)  # it is gone, and was added today
        assert was_deleted(tx, task.id)
