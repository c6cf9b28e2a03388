"""``branchline ledger``: what anybody concerned can check of the ledger, with his own keys alone."""

from __future__ import annotations

from branchline.cli.lazy import LazyGroup

_L = "branchline.cli.ledger"

ledger = LazyGroup(
    "ledger",
    {
        "verify": (f"{_L}.verify:verify", "Check receipts, evidence and packages, offline."),
        "tail": (f"{_L}.reading:tail", "List the newest entries."),
        "show": (f"{_L}.reading:show", "Show one entry with its receipt."),
        "audit": (
            f"{_L}.audit:audit",
            "Check the whole ledger, and this program's state against it.",
        ),
        "prove": (f"{_L}.prove:prove", "Prove that these are all entries of a topic."),
        "package": (
            f"{_L}.package:package",
            "Pack what one party may check, with a verifier that needs nothing but Python.",
        ),
        "disclose": (
            f"{_L}.disclose:disclose",
            "Let one party see some fields of your own entries.",
        ),
        "grants": (f"{_L}.grants:grants", "Show what a grant opens, and open it."),
        "epoch": (
            f"{_L}.disclose:epoch",
            "Show or begin an epoch, with which grants of classes end.",
        ),
        "erase": (f"{_L}.erase:erase", "Erase what an entry of yours says about people."),
        "export": (f"{_L}.export:export", "Write the ledger as static files for any C2SP tool."),
        "policy": (
            f"{_L}.policy:policy",
            "Print a study's policy on the ledger (C2SP tlog-policy).",
        ),
        "witness": (
            f"{_L}.witness:witness",
            "Look at witnesses, or run one that is no station.",
        ),
        "evidence": (
            f"{_L}.evidence:evidence",
            "Look at evidence that a ledger contradicts itself.",
        ),
    },
    help="Check the ledger: receipts, completeness, witnesses.",
)
