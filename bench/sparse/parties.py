"""A client, or the server, of one session: its CPU seconds by round, and what it sends, receives or holds."""

import resource
from multiprocessing import get_context
from statistics import median
from time import process_time

import numpy as np

from secagg import Round, Server, rounds_of

from ..memory import send_everything
from ..script import Cast, ClientScript, client_script
from .points import Measured, Session

RUNS = 5


def client(session: Session, runs: int = RUNS) -> Measured:
    """The survivor in the middle, for whom the others' messages are made beforehand: medians of some runs."""
    script = client_script(session.params, session.dropped)
    plays = [_played(script) for _ in range(runs)]
    seconds = {str(current): median(seconds[current] for seconds, _ in plays) for current in plays[0][0]}
    return _measured(
        "client", session, seconds, sent=plays[0][1], received=sum(len(request) for request in script.requests.values())
    )


def _played(script: ClientScript) -> tuple[dict[Round, float], int]:
    """Seconds of each round, and the bytes that the client sends in all."""
    machine, seconds, sent = script.client(), {}, 0
    for current in rounds_of(script.cast.params):
        start = process_time()
        if current is Round.MASKED_INPUT_COLLECTION:
            machine.set_input(script.x)
        answer = machine.receive(script.requests[current]) if current in script.requests else machine.start()
        seconds[current] = process_time() - start
        sent += len(answer)
    assert machine.finished
    return seconds, sent


def server(session: Session) -> Measured:
    """All clients are in another process, which makes their messages one after another as the server takes them. The
    peak is that of this process, which has to be a fresh one."""
    params = session.params
    here, there = get_context("spawn").Pipe(duplex=False)
    clients = get_context("spawn").Process(target=send_everything, args=(there, params, session.dropped))
    clients.start()
    there.close()  # or `recv` would wait for ever if the clients fail
    machine = Server(params, roster=Cast.of(params).roster)
    seconds = {}
    for current in rounds_of(params):
        spent = 0.0
        while (message := here.recv()) is not None:
            start = process_time()
            machine.receive(*message)
            spent += process_time() - start
        start = process_time()
        machine.end_round()
        seconds[str(current)] = spent + process_time() - start
    if not np.array_equal(machine.sum, here.recv()):
        raise SystemExit("the sum is wrong")
    clients.join()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6  # KiB on Linux
    return _measured("server", session, seconds, megabytes=peak)


def _measured(role: str, session: Session, seconds: dict[str, float], **others: float) -> Measured:
    rounded = {current: float(f"{spent:.4g}") for current, spent in seconds.items()}
    params = session.params
    return Measured(role, session, params.holders - 1, params.t, rounded, **others)  # type: ignore[arg-type]


PARTIES = {"client": client, "server": server}
