"""Use terms and confidentiality: the vocabulary a steward chooses from.

DUO, the GA4GH Data Use Ontology, release 2022-09: five permissions and eighteen modifiers.
Here they are only validated; whether a study meets them is a rule of the study room.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, get_args

from branchline.datasets.errors import SchemaRefused

Confidentiality = Literal["public", "internal", "confidential", "secret"]

#: Short code → (number in DUO, name).
DUO_CODES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "NRES": ("0000004", "no restriction"),
        "GRU": ("0000042", "general research use"),
        "HMB": ("0000006", "health or medical or biomedical research"),
        "DS": ("0000007", "disease specific research"),
        "POA": ("0000011", "population origins or ancestry research only"),
        "NPOA": ("0000044", "population origins or ancestry research prohibited"),
        "NMDS": ("0000015", "no general methods research"),
        "GSO": ("0000016", "genetic studies only"),
        "RS": ("0000012", "research specific restrictions"),
        "NPU": ("0000045", "not for profit organisation use only"),
        "NCU": ("0000046", "non-commercial use only"),
        "NPUNCU": ("0000018", "not for profit, non-commercial use only"),
        "IRB": ("0000021", "ethics approval required"),
        "COL": ("0000020", "collaboration required"),
        "PUB": ("0000019", "publication required"),
        "RTN": ("0000029", "return to database or resource"),
        "MOR": ("0000024", "publication moratorium"),
        "TS": ("0000025", "time limit on use"),
        "GS": ("0000022", "geographical restriction"),
        "US": ("0000026", "user specific restriction"),
        "IS": ("0000028", "institution specific restriction"),
        "PS": ("0000027", "project specific restriction"),
        "CC": ("0000043", "clinical care use"),
    }
)
PERMISSIONS = frozenset({"NRES", "GRU", "HMB", "DS", "POA"})

_BY_NUMBER = {f"DUO:{number}": code for code, (number, _) in DUO_CODES.items()}


def check_use_terms(terms: Iterable[str]) -> tuple[str, ...]:
    """Return the terms as short codes, sorted; refuse unknown ones.

    ``terms`` are short codes (``GRU``) or identifiers (``DUO:0000042``), exactly so written. A
    dataset carries one permission and any modifiers.
    """
    codes = sorted({_short_code(term) for term in terms})
    permissions = [code for code in codes if code in PERMISSIONS]
    if len(permissions) != 1:
        raise SchemaRefused(
            f"Use terms carry exactly one permission; got {', '.join(permissions) or 'none'}",
            advice=f"Give one of {', '.join(sorted(PERMISSIONS))}, then any modifiers",
        )
    return tuple(codes)


def check_confidentiality(text: str) -> Confidentiality:
    """Return the confidentiality class of that name."""
    for known in get_args(Confidentiality):
        if text == known:
            chosen: Confidentiality = known
            return chosen
    raise SchemaRefused(
        f"{text[:40]!r} is not a confidentiality class",
        advice=f"Choose one of {', '.join(get_args(Confidentiality))}",
    )


def _short_code(term: str) -> str:
    code = _BY_NUMBER.get(term, term)
    if code not in DUO_CODES:
        raise SchemaRefused(
            f"{term[:40]!r} is not a DUO code", advice=f"Choose from {', '.join(DUO_CODES)}"
        )
    return code
