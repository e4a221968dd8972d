"""All commands of `secagg dap`."""

from ..console import App
from ..demo import command
from . import collect, init, key, serve, store, task, upload

app = App()
app.command("demo", short_help="Run a whole deployment here, on simulated browsers.")(command.demo)
app.command("init", short_help="Set up an Aggregator: configuration, secret, store and HPKE key.")(init.init)
app.command("leader", short_help="Run the Leader's server.")(serve.leader)
app.command("helper", short_help="Run the Helper's server.")(serve.helper)
app.command("worker", short_help="Do an Aggregator's work beside its servers.")(serve.worker)
app.add_typer(task.app, name="task", short_help="Make tasks, and tell an Aggregator of them.")
app.add_typer(key.app, name="key", short_help="An Aggregator's HPKE keys: rotation and expiry.")
app.add_typer(store.app, name="store", short_help="An Aggregator's store: upgrade and backup.")
app.command("upload", short_help="Upload measurements, as a Client.")(upload.upload)
app.command("collect", short_help="Collect a batch, as the Collector.")(collect.collect)
app.command("collector-key", short_help="Make a Collector's HPKE key, for any number of tasks.")(key.collector_key)
