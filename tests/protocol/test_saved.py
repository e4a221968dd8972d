"""A client that is put away between any two rounds: what it answers, what its file holds, and what is refused."""

import os
import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secagg import (
    ArgumentTypeError,
    Client,
    Identity,
    LocalProtocolError,
    Model,
    Params,
    RemoteProtocolError,
    Roster,
    Round,
    durable,
    rounds_of,
    vector,
)
from secagg.codec import Reader
from secagg.protocol.saved import Header
from secagg.protocol.stored import STORED, BeforeAdvertiseKeys

from ..support.saved import COUNTERS, KEY, KEYS, ROSTER, SEED, MemoryCounter, N, X, recorded

both_models = pytest.mark.parametrize("model", Model, ids=lambda model: model.name.lower())
HEADER_BYTES = {Model.SEMI_HONEST: 69, Model.ACTIVE: 69 + 32 + 32}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "client"


def body(path: Path) -> bytes:
    return path.read_bytes().partition(b"\n")[2]


def with_body(path: Path, body: bytes) -> None:
    """Other contents in the same file."""
    mark = path.read_bytes().partition(b"\n")[0]
    path.write_bytes(mark + b"\n" + body)


def header(path: Path) -> Header:
    return Header.read(Reader(body(path)))


def plaintext(path: Path, key: bytes = KEY) -> bytes:
    """What is encrypted in a file."""
    clear = header(path).encode()
    return AESGCM(key).decrypt(clear[-12:], body(path)[len(clear) :], clear)


# --- the answers ------------------------------------------------------------------------------------------------


@both_models
@pytest.mark.parametrize("counter", COUNTERS, ids=["no counter", "counter"])
def test_a_client_that_is_loaded_before_each_round_gives_the_answers_of_one_in_memory(
    model: Model, counter: Callable[[], Any], path: Path
) -> None:
    session, count = recorded(model), counter()
    session.saved(path, counter=count)
    for number, current in enumerate(rounds_of(session.params)):
        client = session.load(path, counter=count)
        assert client.answer == (session.answers[number - 1] if number else None)
        session.play(client, number + 1)
        assert client.answer == session.answers[number]
        assert client.answered is current
    client = session.load(path, counter=count)
    assert client.finished
    assert client.session == session.answers[-1][2:34]
    assert client.receive(session.requests[-1]) == session.answers[-1] == client.answer


@both_models
def test_a_client_that_is_saved_and_stays_gives_the_same_answers(model: Model, path: Path) -> None:
    session = recorded(model)
    client = session.saved(path)
    session.play(client, session.rounds)
    assert client.finished


@both_models
def test_a_loaded_client_refuses_what_it_refused_before(model: Model, path: Path) -> None:
    """Another request to any round that it has answered changes nothing; the last request gets its answer."""
    session = recorded(model)
    session.at(path, 1)
    with pytest.raises(LocalProtocolError, match="has started already"):
        session.load(path).start()
    for answered in range(2, session.rounds + 1):
        session.play(session.load(path), answered)
        client, before = session.load(path), path.read_bytes()
        for other in (*session.others[: answered - 1], *session.requests[: answered - 2]):
            with pytest.raises(RemoteProtocolError, match="has been answered"):
                client.receive(other)
        assert client.receive(session.requests[answered - 2]) == session.answers[answered - 1]
        assert path.read_bytes() == before


@both_models
@pytest.mark.parametrize("of_a_file", [False, True])
def test_a_request_that_ends_the_client_ends_it_on_disk(model: Model, of_a_file: bool, path: Path) -> None:
    session = recorded(model)
    for number in range(1, session.rounds):
        at = path.with_name(f"client-{number}")
        session.at(at, number)
        client = session.load(at)
        with pytest.raises(RemoteProtocolError):
            client.receive(session.requests[number - 1][:-1])
        again = session.load(at) if of_a_file else client
        assert again.finished
        assert again.answer is None
        assert again.answered is rounds_of(session.params)[number - 1]
        for request in session.requests[: number + 1]:
            with pytest.raises((LocalProtocolError, RemoteProtocolError), match=r"has ended|has been answered"):
                again.receive(request)
        again.leave()
        assert not at.exists()


# --- what is refused --------------------------------------------------------------------------------------------


def test_a_client_is_saved_once_with_its_input_and_before_it_starts(path: Path) -> None:
    session = recorded(Model.SEMI_HONEST)
    without = Client(session.params, 1)
    with pytest.raises(LocalProtocolError, match="is saved with its input"):
        without.save(path, key=KEY)
    started = session.fresh()
    started.start()
    with pytest.raises(LocalProtocolError, match="is saved before it starts"):
        started.save(path, key=KEY)
    assert not path.exists()
    saved = session.saved(path)
    before = path.read_bytes()
    for client in (saved, session.load(path)):
        with pytest.raises(LocalProtocolError, match="is saved already"):
            client.save(path.with_name("other"), key=KEY)
    with pytest.raises(LocalProtocolError, match="holds a client already"):
        session.saved(path)
    assert path.read_bytes() == before
    assert not path.with_name("other").exists()


def test_the_input_of_a_saved_client_cannot_be_set_again(path: Path) -> None:
    session = recorded(Model.SEMI_HONEST)
    saved = session.saved(path)
    for answered in range(session.rounds):
        session.play(saved, answered)
        for client in (saved, session.load(path)):
            with pytest.raises(LocalProtocolError, match="cannot be set any more"):
                client.set_input(X)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"params": Params(n=N, m=3, t=4, modulus=1 << 12, model=Model.ACTIVE, nonce=bytes(17))}, "is of other Params"),
        ({"user_id": 2, "identity": Identity(KEYS[2])}, "is of another user"),
        ({"roster": Roster({u: ROSTER.key(u % N + 1) if u > 1 else ROSTER.key(1) for u in (1, 2, 3, 4)} | {5: bytes(
            Identity.generate().verification_key)})}, "is of another roster"),
        ({"key": bytes(32)}, "is sealed under another key, or damaged"),
        ({"binding": b"another"}, "is of another binding; what a NoisyClient saved"),
        ({"counter": MemoryCounter(1)}, "was saved without a counter"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_file_of_another_client_says_in_what_it_differs(changes: dict[str, Any], reason: str, path: Path) -> None:
    session = recorded(Model.ACTIVE)
    for answered in range(session.rounds + 1):
        at = path.with_name(f"client-{answered}")
        session.at(at, answered)
        before = at.read_bytes()
        with pytest.raises(LocalProtocolError, match=f"client-{answered} {reason}"):
            session.load(at, **changes)
        assert at.read_bytes() == before


def test_a_file_of_another_identity_says_so(path: Path) -> None:
    """A roster's hash covers its keys, so this takes a file that was changed."""
    session = recorded(Model.ACTIVE)
    session.saved(path)
    position = 1 + 32 + 33 + 4 + 1
    with_body(path, body(path)[:position] + KEYS[2].public_key().public_bytes_raw() + body(path)[position + 32 :])
    with pytest.raises(LocalProtocolError, match="is of another identity"):
        session.load(path)


@both_models
def test_every_byte_of_the_header_counts_and_those_behind_it(model: Model, path: Path) -> None:
    session = recorded(model)
    for answered in range(session.rounds + 1):
        at = path.with_name(f"client-{answered}")
        session.at(at, answered)
        whole = body(at)
        assert len(header(at).encode()) == HEADER_BYTES[model]
        for i in (*range(HEADER_BYTES[model]), *range(HEADER_BYTES[model], len(whole), 11), len(whole) - 1):
            with_body(at, whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :])
            with pytest.raises(LocalProtocolError, match="client-"):
                session.load(at)
        for i in {*range(0, HEADER_BYTES[model] + 20, 3), len(whole) - 17, len(whole) - 16, len(whole) - 1}:
            with_body(at, whole[:i])
            with pytest.raises(LocalProtocolError, match="client-"):
                session.load(at)
        with_body(at, whole + b"\0")
        with pytest.raises(LocalProtocolError, match="sealed under another key, or damaged"):
            session.load(at)
        with_body(at, whole)
        assert session.load(at).answer == (session.answers[answered - 1] if answered else None)


def test_what_is_no_file_of_a_client_is_refused(path: Path) -> None:
    session = recorded(Model.SEMI_HONEST)
    with pytest.raises(LocalProtocolError, match="there is no client in"):
        session.load(path)
    with durable.Document(path, "ledger").turn() as contents:
        contents.replace(b"")
    with pytest.raises(LocalProtocolError, match="is a ledger and not a client state"):
        session.load(path)
    path.write_bytes(b"secagg")
    with pytest.raises(LocalProtocolError, match="is no client state"):
        session.load(path)


def test_a_file_longer_than_any_client_of_these_params_is_not_read(path: Path) -> None:
    session = recorded(Model.SEMI_HONEST)
    session.saved(path)
    with_body(path, body(path) + bytes(6000))
    with pytest.raises(LocalProtocolError, match="a client state has 4,901 at most"):
        session.load(path)


def test_a_client_too_large_for_one_encryption_is_not_saved(path: Path) -> None:
    params = Params(n=1 << 24, m=1, modulus=1 << 40)
    with pytest.raises(LocalProtocolError, match="too large to be saved"):
        Client(params, 1, [0]).save(path, key=KEY)
    assert os.listdir(path.parent) == []


def test_bad_arguments(path: Path) -> None:
    session = recorded(Model.SEMI_HONEST)
    for key, error, reason in (
        (bytes(31), LocalProtocolError, "a key must have 32 bytes, got 31"),
        ("x" * 32, ArgumentTypeError, "key must be bytes"),
    ):
        with pytest.raises(error, match=reason):
            session.saved(path, key=key)
    with pytest.raises(LocalProtocolError, match="at most 255 bytes, got 256"):
        session.saved(path, binding=bytes(256))
    with pytest.raises(LocalProtocolError, match="must give POSIX seconds, got -1"):
        session.saved(path, clock=lambda: -1.5)
    with pytest.raises(LocalProtocolError, match="rand must return 12 bytes, got 3"):
        session.saved(path, rand=lambda size: bytes(3))
    assert not path.exists()


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_client_that_may_be_in_a_file_does_not_go_on_without_it(
    step: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, client = recorded(Model.SEMI_HONEST), recorded(Model.SEMI_HONEST).fresh()
    with monkeypatch.context() as patch:

        def fails(*_: Any, **__: Any) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(os, step, fails)
        with pytest.raises(OSError, match="No space left"):
            client.save(path, key=KEY)
    with pytest.raises(LocalProtocolError, match="has started already"):
        client.start()
    assert client.finished
    assert client._randomness is None
    session.saved(path)


def test_a_client_that_was_refused_a_file_goes_on_without_it(path: Path) -> None:
    session = recorded(Model.SEMI_HONEST)
    session.saved(path)
    client = session.fresh()
    with pytest.raises(LocalProtocolError, match="holds a client already"):
        client.save(path, key=KEY)
    session.play(client, session.rounds)


# --- the key in a file ------------------------------------------------------------------------------------------


def test_a_missing_file_of_the_key_is_made_for_its_owner_alone(path: Path) -> None:
    session, key = recorded(Model.SEMI_HONEST), path.with_name("key")
    with pytest.raises(LocalProtocolError, match=r"cannot read a key from .*key: FileNotFoundError"):
        session.load(path, key=key)
    assert not key.exists()
    session.saved(path, key=key)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert plaintext(path, key.read_bytes())[0] == BeforeAdvertiseKeys.STAGE
    other = path.with_name("other")
    session.saved(other, key=key)
    for file in (path, other):
        session.play(session.load(file, key=key), session.rounds)
    key.chmod(0o640)
    with pytest.raises(LocalProtocolError, match="must be readable by its owner only: chmod 600"):
        session.load(path, key=key)


def test_a_key_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, user = path.with_name("key"), os.geteuid()
    durable.create(key, KEY)
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: user + 1)
        with pytest.raises(LocalProtocolError, match="key belongs to another user"):
            recorded(Model.SEMI_HONEST).saved(path, key=key)
    recorded(Model.SEMI_HONEST).saved(path, key=key)


@pytest.mark.parametrize("content", [b"", bytes(31), bytes(33), bytes(1 << 20)])
def test_a_file_with_another_number_of_bytes_holds_no_key(content: bytes, path: Path) -> None:
    key = path.with_name("key")
    durable.create(key, content)
    with pytest.raises(LocalProtocolError, match=r"/key does not hold a key of 32 bytes: .* are lost"):
        recorded(Model.SEMI_HONEST).saved(path, key=key)
    assert key.read_bytes() == content


# --- age --------------------------------------------------------------------------------------------------------


@both_models
def test_a_client_that_is_too_old_is_removed(model: Model, path: Path) -> None:
    """Its age counts from `save`, and not from what it wrote last."""
    session = recorded(model)
    for answered in range(session.rounds + 1):
        session.at(path, answered)
        assert header(path).created == 1000
        session.load(path, max_age=60, clock=lambda: 1060.0)
        session.load(path, max_age=60, clock=lambda: 0.0)
        with pytest.raises(LocalProtocolError, match="was older than 60 seconds, and has been removed"):
            session.load(path, max_age=60, clock=lambda: 1060.5)
        assert os.listdir(path.parent) == []


def test_thirty_days_are_the_age_by_default(path: Path) -> None:
    session = recorded(Model.SEMI_HONEST)
    session.saved(path)
    session.load(path, clock=lambda: 1000 + 30 * 86400.0)
    with pytest.raises(LocalProtocolError, match="was older than 2,592,000 seconds"):
        session.load(path, clock=lambda: 1001 + 30 * 86400.0)


@pytest.mark.parametrize("changes", [{"key": bytes(32)}, {"user_id": 2}], ids=["key", "user"])
def test_an_old_client_of_others_is_not_removed(changes: dict[str, Any], path: Path) -> None:
    session = recorded(Model.SEMI_HONEST)
    session.saved(path)
    with pytest.raises(LocalProtocolError, match=r"another (key|user)"):
        session.load(path, clock=lambda: 1e12, **changes)
    session.load(path)


# --- the end ----------------------------------------------------------------------------------------------------


@both_models
def test_the_file_goes_when_the_last_answer_is_forgotten_and_not_before(model: Model, path: Path) -> None:
    session = recorded(model)
    client = session.saved(path)
    for answered in range(session.rounds):
        session.play(client, answered)
        client.forget_answer()
        assert client.answer is None
        assert session.load(path).answer == (session.answers[answered - 1] if answered else None)
    session.play(client, session.rounds)
    assert path.exists()
    client.forget_answer()
    assert os.listdir(path.parent) == []
    client.forget_answer()
    with pytest.raises(LocalProtocolError, match="has ended"):
        client.receive(session.requests[-1])


@both_models
@pytest.mark.parametrize("counter", COUNTERS, ids=["no counter", "counter"])
def test_whoever_leaves_leaves_nothing(model: Model, counter: Callable[[], Any], path: Path) -> None:
    session = recorded(model)
    for answered in range(session.rounds + 1):
        for loaded in (False, True):
            count = counter()
            client = session.saved(path, counter=count)
            session.play(client, answered)
            path.with_name("client.new").write_bytes(b"what a crash has left")
            client = session.load(path, counter=count) if loaded else client
            client.leave()
            assert os.listdir(path.parent) == []
            left = (client._state, client._randomness, client._x, client._last_answer)
            assert left == (None,) * 4
            assert client.finished
            with pytest.raises(LocalProtocolError, match=r"has ended|has started"):
                client.receive(session.requests[0]) if answered else client.start()
            client.leave()


def test_a_client_in_memory_can_leave_too() -> None:
    session = recorded(Model.SEMI_HONEST)
    for answered in range(session.rounds + 1):
        client = session.fresh()
        session.play(client, answered)
        client.leave()
        assert client.finished
        assert client._x is None
        with pytest.raises(LocalProtocolError, match=r"has ended|has started already"):
            client.receive(session.requests[0]) if answered else client.start()


def test_whoever_leaves_does_not_remove_what_another_process_went_on_with(path: Path) -> None:
    session = recorded(Model.SEMI_HONEST)
    session.saved(path)
    old, new = session.load(path), session.load(path)
    session.play(new, 1)
    with pytest.raises(LocalProtocolError, match="another process went on with this state"):
        old.leave()
    assert old.finished
    assert session.load(path).answer == session.answers[0]


# --- what is on disk --------------------------------------------------------------------------------------------


@both_models
def test_each_state_holds_what_later_rounds_need_and_nothing_else(model: Model, path: Path) -> None:
    session = recorded(model)
    client = session.saved(path)
    packed = vector.pack(np.array(X, np.uint32), session.params.modulus).tobytes()
    keys: list[bytes] = []
    for answered in range(session.rounds + 1):
        session.play(client, answered)
        inside = plaintext(path)
        stage = answered if answered < session.rounds else 5
        assert inside[0] == stage
        assert STORED[stage].decode(inside[1:])
        assert (SEED in inside) == (answered < 2)
        assert (packed in inside) == (answered < 3)
        if answered == 1:
            state: Any = client._state
            keys = [state.c.secret, state.s.secret]
        if answered == 2:
            shared: Any = client._state
            seeds = [shared.b_seed, *(peer.mask_seed for peer in shared.peers.values())]
            unseal = [peer.unseal_key for peer in shared.peers.values()]
            assert all(secret in inside for secret in (*seeds, *unseal))
        if answered >= 2:
            assert not any(key in inside for key in keys)
        if answered >= 3:
            assert not any(secret in inside for secret in (*seeds, *unseal))
    hashed = sha256(session.requests[-1]).digest()
    assert inside == bytes([5]) + hashed + len(session.answers[-1]).to_bytes(4, "big") + session.answers[-1]


def test_nothing_secret_is_in_the_clear(path: Path) -> None:
    session = recorded(Model.ACTIVE)
    client = session.saved(path, binding=b"https://coordinator.example/")
    for answered in range(session.rounds + 1):
        session.play(client, answered)
        inside, outside = plaintext(path), body(path)
        windows = {inside[i : i + 8] for i in range(0, len(inside) - 8)}
        assert not any(outside[i : i + 8] in windows - {bytes(8)} for i in range(len(outside) - 8))
        assert header(path).binding == b"https://coordinator.example/"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_header_says_whose_state_it_is_and_each_write_has_a_generation_and_a_nonce_of_its_own(path: Path) -> None:
    session, asked = recorded(Model.ACTIVE), []

    def rand(size: int) -> bytes:
        asked.append(size)
        return os.urandom(size)

    client = session.saved(path, rand=rand)
    headers = [header(path)]
    for answered in range(1, session.rounds + 1):
        session.play(client, answered)
        headers.append(header(path))
    assert asked == [12] * (session.rounds + 1)
    assert len({each.nonce for each in headers}) == len(headers)
    assert [each.generation for each in headers] == list(range(1, len(headers) + 1))
    for each in headers:
        assert each.params == sha256(session.params.encode()).digest()
        assert each.roster == ROSTER.hash
        assert (each.version, each.user, each.counted, each.created) == (1, 1, 0, 1000)
        assert each.verification_key == KEYS[1].public_key().public_bytes_raw()


def test_nothing_secret_is_shown(path: Path) -> None:
    session = recorded(Model.ACTIVE)
    client = session.saved(path)
    for answered in range(session.rounds + 1):
        session.play(client, answered)
        shown = repr((client, client._memory(), client._state, client._file, header(path)))
        assert SEED.hex() not in shown
        assert repr(SEED)[2:-1] not in shown
        assert "\\x" not in shown


# --- counters ---------------------------------------------------------------------------------------------------


@both_models
@pytest.mark.parametrize("start", [0, 41])
def test_a_counter_follows_each_write(model: Model, start: int, path: Path) -> None:
    session, counter = recorded(model), MemoryCounter(start)
    client = session.saved(path, counter=counter)
    for answered in range(session.rounds + 1):
        session.play(client, answered)
        assert counter.value() == header(path).generation == start + 1 + answered
    client.forget_answer()
    assert counter.log == list(range(start, start + session.rounds + 3))


def test_a_file_that_is_newer_than_its_counter_has_another_counter(path: Path) -> None:
    session = recorded(Model.SEMI_HONEST)
    session.at(path, 2, counter=MemoryCounter())
    with pytest.raises(LocalProtocolError, match="is newer than its counter: this is another counter"):
        session.load(path, counter=MemoryCounter(1))
    with pytest.raises(LocalProtocolError, match="was saved with a counter: give it"):
        session.load(path)
    assert session.load(path, counter=MemoryCounter(2)).answered is Round.SHARE_KEYS
    assert session.load(path, counter=MemoryCounter(3)).answered is Round.SHARE_KEYS
