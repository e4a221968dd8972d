"""`secagg serve`, `secagg session` and `secagg join`: SecAgg between machines."""

from ..app import App, Later

app = App(
    later={
        "start": Later("service.session:start", "Make a session, which waits for participants."),
        "status": Later("service.session:status", "Show how a session stands, or which there are."),
        "result": Later("service.session:result", "Read the result of a session."),
        "abort": Later("service.session:abort", "End a session without a sum."),
    },
    help="""Make sessions at a coordinator, look at them, read their sums, or abort them.

    All of these take the operator's token, which `secagg serve --init` has made.

    \b
    Examples:
      secagg session start --config coordinator/coordinator.toml --clients 100 --length 10000 --max-value 65535
      secagg session status https://coordinator.example --token-file operator.token
      secagg session result https://coordinator.example/v1/sessions/round-7 --output sum.npy --wait
      secagg session abort https://coordinator.example/v1/sessions/round-7 --reason "wrong model"
    """,
)


@app.callback()
def _session() -> None:
    pass
