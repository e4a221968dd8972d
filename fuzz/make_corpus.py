"""Writes corpus/: the messages, files and structs that the fuzzer starts from. Run it as `python -m fuzz.make_corpus`.

The messages are those of two small sessions, one of each model, in which a user drops out, so no decoder has to find
its format by chance. The same bytes come out every time.
"""

import random
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from secagg import Client, Identity, Model, Params, Server, Sparse
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dp import ApproxDp, PureDp, Unit, ZCdp
from secagg.protocol.client_state import Memory
from secagg.protocol.messages import ConsistencyCheckRequest, Round, encode
from secagg.protocol.saved import Header
from secagg.protocol.stored import encode_memory
from secagg.signatures import SIGNATURE_BYTES

from .dap import DAP
from .decoders import CORPUS, MESSAGES, Colour, N, Sample, identities, owner, parameters, roster_of
from .reports import REPORTS

LOST = N
DER = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
NAMES = {kind.TYPE: kind.__name__ for kind in MESSAGES}


def parties(params: Params) -> tuple[Server, dict[int, Client]]:
    """The server and the clients, which draw the same random bytes every time."""
    people: dict[int, Identity | None] = dict.fromkeys(range(1, N + 1))
    roster = None
    if params.model is Model.ACTIVE:
        roster = roster_of(identities())
        people |= identities()
    clients = {
        u: Client(params, u, [u] * params.m, identity=identity, roster=roster, rand=random.Random(u).randbytes)
        for u, identity in people.items()
    }
    return Server(params, roster=roster), clients


def session(params: Params) -> dict[str, bytes]:
    """One message of each type, without signature."""
    server, clients = parties(params)
    signature = SIGNATURE_BYTES if params.model is Model.ACTIVE else 0
    messages: dict[str, bytes] = {}
    if params.model is Model.ACTIVE:
        write_memory(clients[1])
    requests = dict.fromkeys(clients, b"")
    while server.round is not None:
        if server.round is Round.MASKED_INPUT_COLLECTION:
            del requests[LOST]
        for u, request in requests.items():
            answer = clients[u].receive(request) if request else clients[u].start()
            server.receive(u, answer)
            message = answer[: len(answer) - signature]
            if u == 1 and params.model is Model.ACTIVE:
                write_memory(clients[u])
            messages |= {NAMES[data[1]]: data for data in (request, message) if data}
        requests = server.end_round()
    return messages


def write(decoder: str, name: str, data: bytes) -> None:
    (CORPUS / decoder).mkdir(parents=True, exist_ok=True)
    (CORPUS / decoder / name).write_bytes(data)


def write_memory(client: Client) -> None:
    """What the client would have on disk now."""
    name = "before" if client.answered is None else f"after_{client.answered.name.lower()}"
    write("Memory", name, encode_memory(client._memory(), client.params))


def write_header() -> None:
    digest = sha256(owner().params.encode()).digest()
    key = owner().verification_key
    header = Header(1, digest, owner().pki.roster_hash, 1, key, b"binding", 1, 7, 1_700_000_000, bytes(range(12)))
    write("Header", "active", header.encode())
    write("Memory", "ended", encode_memory(Memory(2, None, None, None, None), owner().params))


def write_files() -> None:
    """A roster, and an identity as PEM and as what is in it."""
    with tempfile.TemporaryDirectory() as folder:
        roster_of(identities()).write(Path(folder, "roster"))
        write("Roster", "three_users", b"# id, key\n\n" + Path(folder, "roster").read_bytes())
        identities()[1].save(Path(folder, "identity"))
        pem = Path(folder, "identity").read_bytes()
    write("Identity", "pem", pem)
    write("Identity", "pkcs8", Ed25519PrivateKey.from_private_bytes(bytes([1] * 32)).private_bytes(*DER))


def write_privacy() -> None:
    """Each kind of budget, and a client with several reports."""
    total = ApproxDp(8, "1e-6")
    for name, privacy in {
        "noise": Privacy(Mechanism.DISCRETE_GAUSSIAN, ZCdp("0.1"), total, honest=2),
        "randomized_response": Privacy(
            Mechanism.RANDOMIZED_RESPONSE, PureDp(2), total, honest=0, unit=Unit(3, "a day")
        ),
    }.items():
        write("Privacy", name, privacy.encode())


def write_sparse_params() -> None:
    graph: dict[str, Any] = {"graph": Sparse(4), "t": 3, "min_joined": 6, "min_users": 5}
    write(
        "Params",
        "sparse",
        Params(n=7, m=3, modulus=1 << 12, n_corrupt=1, nonce=bytes(16), context=b"c", **graph).encode(),
    )


def write_ids() -> None:
    """A list of users that is not a bitmap, as those of the sessions are."""
    request = ConsistencyCheckRequest(bytes(32), np.array([3, 500, 1 << 31], np.uint32))
    write("ConsistencyCheckRequest", "ids", encode(request))


def main() -> None:
    shutil.rmtree(CORPUS, ignore_errors=True)
    for model in Model:
        params = parameters(model)
        write("Params", model.name.lower(), params.encode())
        for name, data in session(params).items():
            write(name, model.name.lower(), data)
    rows = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    sample = Sample(1 << 64, Colour.RED, b"tag", b"name", b"context", b"body", np.array([1, 2], np.uint32), rows)
    write("Sample", "every_codec", sample.encode())
    write_sparse_params()
    write_ids()
    write_files()
    write_privacy()
    write_header()
    for name, (_, message) in REPORTS.items():
        write(name, "histogram", message)
    for name, (_, message) in DAP.items():
        write(name, "dap", message)


if __name__ == "__main__":
    main()
