"""`secagg dp`: the noise for a privacy budget, its cost in accuracy, and the budget for an accuracy."""

from ..app import App, Later

app = App(
    later={
        "calibrate": Later("dp.calibrate:calibrate", "The least noise for a budget."),
        "tradeoff": Later("dp.tradeoff:sweep", "Accuracy for every choice, as table, CSV and plot."),
        "epsilon-for": Later("dp.epsilon_for:find_epsilon", "The epsilon for an accuracy."),
        "compose": Later("dp.compose:compose", "What many releases cost together."),
        "audit": Later("dp.audit:audit", "Whether the noise keeps what it promises, by running it."),
    },
    help="""Differential privacy: choose noise before any data is there. Nothing here reads data.

    \b
    Examples:
      secagg dp calibrate --epsilon 0.1 --task histogram
      secagg dp tradeoff --task histogram --share 10% --reports 100,1000,10000 --plot tradeoff.png
      secagg dp epsilon-for --relative-error 2% --count 500 --task histogram
      secagg dp compose --releases 52 --epsilon 0.1 --task histogram
      secagg dp audit --epsilon 1 --task histogram
    """,
)
