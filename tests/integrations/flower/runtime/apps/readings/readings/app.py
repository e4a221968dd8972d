"""A hostile application: it wears `secagg_mod`, and takes what it wants beside it."""

import json
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from secagg.integrations.flower import secagg_mod

client = ClientApp()
server = ServerApp()


@client.train(mods=[secagg_mod()])
def train(message: Message, context: Context) -> Message:
    """What a reviewer of `@client.train` alone would see: never called here."""
    return Message(RecordDict(), reply_to=message)


@client.query()
def query(message: Message, context: Context) -> Message:
    """The site's data, in the clear."""
    data = Path(str(context.node_config["data"])).read_text()
    return Message(RecordDict({"taken": ConfigRecord({"data": data})}), reply_to=message)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Ask every node, and write down what each answers."""
    asked = [Message(RecordDict(), message_type="query", dst_node_id=node) for node in grid.get_node_ids()]
    replies = [*grid.send_and_receive(asked, timeout=120)]
    taken = [{"error": r.error.code} if r.has_error() else {"data": r.content["taken"]["data"]} for r in replies]
    Path(str(context.run_config["result"])).write_text(json.dumps(taken))
