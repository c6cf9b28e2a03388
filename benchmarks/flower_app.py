"""The app that Flower runs: federated averaging of a model that no one trains.

The same work as ours, in ``trains.py``; ``round.py`` says what is timed. Its server side writes the
seconds from each round's average to the next one's. It is copied into a Flower project and imports
nothing of ours.
"""

# ruff: noqa: D103
# mypy: ignore-errors

import json
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg

client = ClientApp()
server = ServerApp()


@client.train()
def train(message, context):
    model = message.content["arrays"].to_numpy_ndarrays()[0]
    # Other bits in every element at every node, as in trained models.
    change = np.float32(1 + (context.node_config["partition-id"] + 1) / 1024)
    metrics = MetricRecord({"num-examples": 100})
    content = RecordDict({"arrays": ArrayRecord([model * change]), "metrics": metrics})
    return Message(content=content, reply_to=message)


class Timed(FedAvg):
    """Takes the time when each round's average is there."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.ended = []

    def aggregate_train(self, server_round, replies):
        replies = list(replies)
        assert len(replies) == 3, "every node must answer"
        assert not any(reply.has_error() for reply in replies), "no node may fail"
        answer = super().aggregate_train(server_round, replies)
        self.ended.append(time.perf_counter())
        return answer


@server.main()
def main(grid, context):
    settings = context.run_config
    strategy = Timed(
        fraction_train=1.0, fraction_evaluate=0.0, min_train_nodes=3, min_available_nodes=3
    )
    # Noise, as trained models are: of one number, every chunk of an array would be the same chunk.
    noise = np.random.default_rng(0).random(settings["size"], np.float32)
    model = ArrayRecord([noise])
    strategy.start(grid, model, num_rounds=settings["num-server-rounds"])
    out = Path(settings["out"])
    seconds = [after - before for before, after in pairwise(strategy.ended)]
    out.with_suffix(".part").write_text(json.dumps(seconds))
    out.with_suffix(".part").rename(out)
