"""A study's draft: a form with names in place of keys, for a person to fill in."""

from __future__ import annotations

import tomllib
from datetime import datetime, timedelta

from branchline.foundation.ids import check_name
from branchline.study.document import StudyRefused

_TEMPLATE = """\
# A study: the frame that permits journeys. Fill it in, then: branchline study propose {name}.toml
# People and stations are named as they are enrolled; their keys are looked up and pinned for you.

id = "{name}"
title = "What the study is called"
purpose = "What is to be found out, in a few sentences for the people who decide"
protocol = "Where the protocol is, or what it says"

# The purpose in the words of the Data Use Ontology: GRU (general research), HMB (health or
# medical research), DS:MONDO:0005015 (research on that disease); promises such as NCU, PUB.
duo = ["HMB"]

# In UTC. Journeys are permitted in between.
valid_from = {valid_from}
valid_until = {valid_until}

# The proposer is a researcher or principal-investigator. The approver is somebody else: an
# ethics-officer, a data-protection-officer or a principal-investigator.
proposer = "{proposer}"
approver = "NAME"

# Where stations' contributions are combined: "central", or the name of a station.
aggregator = "central"

# No output may rest on fewer records than this; a station may ask for more.
minimum_group = 10
# No result may rest on fewer stations than this.
minimum_stations = 1
# The ledger is cosigned by the stations. Witnesses that are no stations (an auditor's, say) and must
# cosign as well, by their verifier keys; central has to ask them. Where one is away, no data are bound.
# outside = ["auditor.example/witness+…"]
# Only these trains, by digest; leave it out to permit any that one of the people signed.
# trains = ["sha256:…"]

# [ethics_vote]
# body = "Ethics committee of …"
# number = "2026-123"
# valid_until = {valid_until}

[[people]]
name = "{proposer}"
role = "researcher"

[[people]]
name = "NAME"
role = "ethics-officer"

[[stations]]
name = "NAME"
datasets = ["NAME"]
"""


def new_draft(name: str, proposer: str, now: datetime) -> str:
    """Return the text of a new study's draft, valid for a year from today."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return _TEMPLATE.format(
        name=check_name(name, "study"),
        proposer=proposer,
        valid_from=f"{today:%Y-%m-%dT%H:%M:%SZ}",
        valid_until=f"{today + timedelta(days=365):%Y-%m-%dT%H:%M:%SZ}",
    )


def names_in(draft: str) -> list[str]:
    """Return the names of all people and stations in a draft, each once.

    Raises:
        StudyRefused: Not TOML. Anything else wrong with it is found when it is read as a study.
    """
    try:
        form = tomllib.loads(draft)
    except tomllib.TOMLDecodeError as error:
        raise StudyRefused(f"The study draft is not TOML: {error}") from error
    entries = [
        entry
        for group in ("people", "stations")
        if isinstance(form.get(group), list)
        for entry in form[group]
        if isinstance(entry, dict)
    ]
    names = [entry["name"] for entry in entries if isinstance(entry.get("name"), str)]
    for name in names:
        if name == "NAME":
            raise StudyRefused("The study draft still has a NAME to be filled in")
        check_name(name, "party")
    return list(dict.fromkeys(names))
