"""``branchline station``: a hospital's side."""

from __future__ import annotations

from branchline.cli.lazy import LazyGroup

_S = "branchline.cli.station"

station = LazyGroup(
    "station",
    {
        "enroll": (f"{_S}.agent:enroll", "Join a central service with an invitation."),
        "serve": (f"{_S}.agent:serve", "Run the station until told to end."),
        "show": (
            f"{_S}.agent:show",
            "Show who this station is, what it demands, and what it holds.",
        ),
        "dataset": (f"{_S}.dataset:dataset", "Describe the data the station holds."),
        "environment": (
            f"{_S}.environment:environment",
            "Keep the images that trains run in: list, import, repair, remove.",
        ),
        "study": (f"{_S}.study:study", "Approve studies, and withdraw."),
        "stops": (f"{_S}.stops:stops", "See trains that came; accept or decline."),
        "outputs": (f"{_S}.outputs:outputs", "Review outputs; release or withhold."),
    },
    help="Run a station: data, decisions, releases.",
)
