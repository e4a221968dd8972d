"""`secagg dap interop`: a Client and a Collector that a test runner of other programs drives."""

from ...dap.interop.client import client_app
from ...dap.interop.collector import collector_app
from ...dap.interop.serving import serve
from ..app import App
from ..options import JsonOption
from .serve import ListenOption, announce

app = App(
    help="""Be tested together with other implementations (draft-dcook-ppm-dap-interop-test-design), on loopback only.

    The Aggregators' part is `leader` and `helper` with --interop-test-api.

    \b
    Examples:
      secagg dap interop client --listen 127.0.0.1:8082
      secagg dap interop collector --listen 127.0.0.1:8083
    """,
)


def client(listen: ListenOption = "127.0.0.1:8080", json: JsonOption = False) -> None:
    """Run a Client that uploads what a test runner tells it to, until it is interrupted or terminated.

    \b
    Example:
      secagg dap interop client --listen 127.0.0.1:8082
    """
    serve(client_app(), listen or "", lambda url: announce("listening", url, json))


def collector(listen: ListenOption = "127.0.0.1:8080", json: JsonOption = False) -> None:
    """Run a Collector that collects what a test runner tells it to, until it is interrupted or terminated.

    \b
    Example:
      secagg dap interop collector --listen 127.0.0.1:8083
    """
    serve(collector_app(), listen or "", lambda url: announce("listening", url, json))


app.command("client", short_help="Run a Client that a test runner drives.")(client)
app.command("collector", short_help="Run a Collector that a test runner drives.")(collector)
