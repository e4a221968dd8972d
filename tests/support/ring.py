"""A sparse graph's users, all of them real clients of the active model, and a server that tells each what it likes."""

import inspect
import sys
import textwrap
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg import Abort, Client, Identity, Params, RemoteProtocolError, Roster, masking, shamir, vector
from secagg.codec import Ids, Octets
from secagg.primitives import KeyPair, load_public_keys, mask_seed, self_mask
from secagg.protocol.graph import circle_order
from secagg.protocol.messages import (
    CIPHERTEXT_BYTES,
    AdvertiseKeys,
    ConsistencyCheckRequest,
    MaskedInputCollection,
    MaskedInputCollectionRequest,
    ShareKeys,
    ShareKeysRequest,
    Unmasking,
    UnmaskingRequest,
    decode,
    encode,
    session_id,
)
from secagg.protocol.unmask import pairwise_signs, prg_nonce, seed_array
from secagg.signatures import SIGNATURE_BYTES

Refusals = dict[int, str]
"""What users say who refuse what they are told."""


def leave_out(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, check: str, instead: str) -> None:
    """A client, or another machine, without one of its checks."""
    function = getattr(owner, name)
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(check) == 1
    names: dict[str, Any] = {}
    exec(source.replace(check, instead), vars(sys.modules[function.__module__]), names)
    monkeypatch.setattr(owner, name, names[name])
    for kind in [kind for kind, handler in getattr(owner, "_HANDLERS", {}).items() if handler is function]:
        monkeypatch.setitem(owner._HANDLERS, kind, names[name])


class Ring:
    """The users of a session, x_u being u in every entry.

    Args:
        params: in the active model.
        n_roster: how many users the roster has, by default n.

    Attributes:
        clients: the users' machines.
        session: the session's id, once there is a list of keys.
        circle: who stands on the circle, one after the other.
        refusals: by user, why it has ended.
        masked: by user, y_u.
        shares: by user and "b" or "s_sk", what the holders told of it.
    """

    def __init__(self, params: Params, n_roster: int | None = None) -> None:
        self.params = params
        self.identities = {u: Identity.generate() for u in range(1, (n_roster or params.n) + 1)}
        self.roster = Roster({u: identity.verification_key for u, identity in self.identities.items()})
        self.clients = {
            u: Client(params, u, [u] * params.m, identity=identity, roster=self.roster)
            for u, identity in self.identities.items()
        }
        self.advertised = {u: client.start() for u, client in self.clients.items()}
        self.refusals: Refusals = {}

    def list_of(self, users: Collection[int]) -> ShareKeysRequest:
        """Round 1's request of these users."""
        sent = [_split(self.advertised[u]) for u in sorted(users)]
        pairs = [decode(message, AdvertiseKeys) for message, _ in sent]
        keys = np.frombuffer(b"".join(pair.c_pk + pair.s_pk for pair in pairs), np.uint8).reshape(-1, 2, 32)
        return ShareKeysRequest(_ids(users), keys, _stack(signature for _, signature in sent))

    def place(self, request: ShareKeysRequest) -> list[int]:
        """The session of a list, and with it the circle. What was heard in another session counts no more."""
        self.shown: dict[int, Ids] = {}
        self.shares: dict[tuple[int, str], dict[int, bytes]] = defaultdict(dict)
        self._sent: dict[int, ShareKeys] = {}
        self.masked: dict[int, NDArray[Any]] = {}
        self._dealers: dict[int, Ids] = {}
        self._signatures: dict[int, bytes] = {}
        self._friends: set[int] = set()
        self.keys, self.session = request, session_id(self.params, self.roster.hash, request)
        self.graph = self.params.graph.over(self.session, request.users)
        circle: list[int] = request.users[circle_order(self.session, len(request.users))].tolist()
        self.circle = circle
        return circle

    def share(self, users: Collection[int] | None = None) -> None:
        """ShareKeys: those who are told of the list answer, if they do."""
        told = dict.fromkeys(self.keys.users.tolist() if users is None else users, encode(self.keys))
        self._sent = {u: decode(_split(data)[0], ShareKeys) for u, data in self._told(told).items()}
        self._peers = {u: self.clients[u]._state.peers for u in self._sent}  # type: ignore[union-attr]

    def mask(self, without: Mapping[int, Collection[int]] | None = None) -> None:
        """MaskedInputCollection: everyone hears of its whole neighbourhood, but for these neighbours of some."""
        requests = {}
        for u in self._sent:
            near = self.graph.neighbours(u, self.keys.users)
            senders = near[~np.isin(near, list((without or {}).get(u, ())))]
            self.shown[u] = senders
            ciphertexts = np.stack([*[self._ciphertext(int(v), u) for v in senders], _NOTHING])[:-1]
            requests[u] = encode(
                MaskedInputCollectionRequest(self.session, np.sort(np.append(senders, np.uint32(u))), ciphertexts)
            )
        for u, data in self._told(requests).items():
            answer = decode(_split(data)[0], MaskedInputCollection)
            self.masked[u] = vector.unpack(answer.y, self.params.m, self.params.modulus)
            self._dealers[u] = np.setdiff1d(np.append(self.shown[u], np.uint32(u)), answer.unopened)

    def _ciphertext(self, v: int, u: int) -> Octets:
        if v not in self._sent:
            return _NOTHING
        ciphertext: Octets = self._sent[v].ciphertexts[self.graph.neighbours(v, self.keys.users) == u][0]
        return ciphertext

    def sign(self, told: Mapping[int, Collection[int]]) -> None:
        """ConsistencyCheck: each hears of a U3."""
        requests = {u: encode(ConsistencyCheckRequest(self.session, _ids(u3))) for u, u3 in told.items()}
        self._signatures |= {u: _split(data)[1] for u, data in self._told(requests).items()}

    def ask(self, told: Mapping[int, Collection[int]]) -> None:
        """Unmasking: each hears of all who have signed the U3 that it was told."""
        requests = {}
        for u, u3 in told.items():
            agreed = [v for v in sorted(self._signatures) if set(told[v]) == set(u3) and v in u3]
            signatures = _stack(self._signatures[v] for v in agreed)
            requests[u] = encode(UnmaskingRequest(self.session, _ids(agreed), signatures))
        for u, data in self._told(requests).items():
            answer = decode(_split(data)[0], Unmasking)
            for v, share in zip(self._dealers[u].tolist(), answer.shares, strict=True):
                self.shares[v, "b" if v in told[u] else "s_sk"][u] = share.tobytes()

    def befriend(self, corrupt: Collection[int]) -> None:
        """Corrupt users tell the server all that they hold, once they have masked their inputs."""
        for u in corrupt:
            held: Any = self.clients[u]._state
            self._friends.add(u)
            for v, shares in zip(held.dealers.tolist(), held.shares, strict=True):
                for kind, share in zip(("s_sk", "b"), shares, strict=True):
                    self.shares[v, kind][u] = share.tobytes()

    def sum_of(self, users: Collection[int], known: Mapping[int, bytes] | None = None) -> list[int] | None:
        """The sum of these users' inputs, if the server can have it: all masks in it that do not cancel are known.
        `known` are the s_sk of users that it has from elsewhere."""
        total: NDArray[Any] = np.sum([self.masked[v].astype(object) for v in users], axis=0) % self.params.modulus
        y, seeds, signs = total.astype(self.params.dtype), [], np.empty(0, np.int8)
        for v in users:
            b = self.secret(v, "b")
            if b is None:
                return None
            seeds.append(self_mask(b, self.session, v).seed)
            signs = np.append(signs, np.int8(-1))
            for w in self.shown[v].tolist():
                if w in users and v in self.shown[w]:
                    continue
                seed = self._pairwise_seed(v, w, known or {})
                if seed is None:
                    return None
                seeds.append(seed)
                signs = np.append(signs, -pairwise_signs(v, np.array([w], np.uint32)))
        nonce = prg_nonce(self.session)
        masking.mask_sum(y, seed_array(b"".join(seeds)), signs, modulus=self.params.modulus, nonce=nonce)
        result: list[int] = y.tolist()
        return result

    def _pairwise_seed(self, v: int, w: int, known: Mapping[int, bytes]) -> bytes | None:
        for one, other in ((v, w), (w, v)):
            secret = known.get(one) or self.secret(one, "s_sk")
            if one in self._friends:
                return self._peers[one][other].mask_seed
            if secret is not None:
                (public,) = load_public_keys(self.keys.keys[self.keys.users == other, 1])
                assert public is not None
                return mask_seed(KeyPair.from_secret(secret).agree(public), self.session, one, other)
        return None

    def secret(self, v: int, kind: str) -> bytes | None:
        """From t shares, if there are so many."""
        shares = sorted(self.shares[v, kind].items())[: self.params.t]
        if len(shares) < self.params.t:
            return None
        block = np.frombuffer(b"".join(share for _, share in shares), np.uint8).reshape(-1, 1, 32)
        return bytes(shamir.reconstruct(block, _ids([u for u, _ in shares]))[0])

    def _told(self, requests: Mapping[int, bytes]) -> dict[int, bytes]:
        """The answers of those who give one."""
        answers: dict[int, bytes] = {}
        for u in requests.keys() - self.refusals.keys():
            try:
                answers[u] = self.clients[u].receive(requests[u])
            except (Abort, RemoteProtocolError) as error:
                assert self.clients[u].finished
                self.refusals[u] = str(error)
        return answers


_NOTHING: Octets = np.zeros(CIPHERTEXT_BYTES, np.uint8)


def _ids(users: Collection[int]) -> Ids:
    return np.array(sorted(users), np.uint32)


def _split(answer: bytes) -> tuple[bytes, bytes]:
    return answer[:-SIGNATURE_BYTES], answer[-SIGNATURE_BYTES:]


def _stack(signatures: Any) -> Octets:
    return np.frombuffer(b"".join(signatures), np.uint8).reshape(-1, SIGNATURE_BYTES)
