"""Match a dataset's use terms with a study's purpose: allow, deny, or a human must decide.

The Data Use Ontology (GA4GH DUO, release 2022-09): five permissions and eighteen modifiers. A term is
written as its code (``HMB``) or identifier (``DUO:0000006``), with its parameter after a colon where it
has one (``DS:MONDO:0005015``, ``GS:DE``, ``TS:2027-12-31``). A study states its purpose in the same
words: ``DS:MONDO:0005015`` is research on that disease, ``NPUNCU`` a promise, ``PUB`` an obligation taken.

All terms must allow. Anything unknown, or without the parameter it needs, is for a human: never yes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

Verdict = Literal["allow", "deny", "human"]

CODES: Mapping[str, str] = {
    "NRES": "DUO:0000004",
    "GRU": "DUO:0000042",
    "HMB": "DUO:0000006",
    "DS": "DUO:0000007",
    "POA": "DUO:0000011",
    "NPOA": "DUO:0000044",
    "NMDS": "DUO:0000015",
    "GSO": "DUO:0000016",
    "RS": "DUO:0000012",
    "NPU": "DUO:0000045",
    "NCU": "DUO:0000046",
    "NPUNCU": "DUO:0000018",
    "IRB": "DUO:0000021",
    "COL": "DUO:0000020",
    "PUB": "DUO:0000019",
    "RTN": "DUO:0000029",
    "MOR": "DUO:0000024",
    "TS": "DUO:0000025",
    "GS": "DUO:0000022",
    "US": "DUO:0000026",
    "IS": "DUO:0000028",
    "PS": "DUO:0000027",
    "CC": "DUO:0000043",
}
PERMISSIONS = frozenset({"NRES", "GRU", "HMB", "DS", "POA"})
PURPOSES = ("GRU", "HMB", "DS", "POA")
PARAMETERISED = frozenset({"DS", "RS", "MOR", "TS", "GS", "US", "IS", "PS"})
_BY_IDENTIFIER = {identifier: code for code, identifier in CODES.items()}

IsKindOf = Callable[[str, str], bool]
"""Tell whether the first disease equals the second or is a kind of it."""


@dataclass(frozen=True, slots=True)
class Term:
    """Hold one code with its parameter, if it has one."""

    code: str
    parameter: str | None = None


@dataclass(frozen=True, slots=True)
class Purpose:
    """Hold what a study shows of itself.

    Args:
        terms: Its purpose, promises and accepted obligations.
        vote_until: When its ethics vote ends; None if it has none.
        is_kind_of: The disease tree the station supplies; None if it has none.
    """

    terms: tuple[Term, ...]
    vote_until: datetime | None = None
    is_kind_of: IsKindOf | None = None

    def parameters(self, code: str) -> set[str]:
        """Return the parameters stated with a code."""
        return {t.parameter for t in self.terms if t.code == code and t.parameter}

    def states(self, *codes: str) -> bool:
        """Tell whether any of these codes is stated."""
        return any(term.code in codes for term in self.terms)

    @property
    def research(self) -> str | None:
        """The one kind of research the study is; None if it states none or several."""
        stated = {term.code for term in self.terms if term.code in PURPOSES}
        return stated.pop() if len(stated) == 1 else None


def parse_term(text: str) -> Term | None:
    """Read a term, exactly as written; None if it is none (a malformed identifier, say)."""
    if text.startswith("DUO:"):
        number, _, parameter = text[4:].partition(":")
        code = _BY_IDENTIFIER.get(f"DUO:{number}")
    else:
        code, _, parameter = text.partition(":")
        code = code if code in CODES else None
    if code is None or (parameter and code not in PARAMETERISED) or text.endswith(":"):
        return None
    return Term(code, parameter or None)


def match(use_terms: Iterable[str], purpose: Purpose, now: datetime) -> Verdict:
    """Decide whether a dataset under these use terms may serve this purpose now.

    Args:
        use_terms: The dataset's terms; several with one code and different parameters are a choice.
        purpose: What the study shows.
        now: The time, for dates in terms.
    """
    terms = [parse_term(text) for text in use_terms]
    known = [term for term in terms if term is not None]
    verdicts = {_judge(code, _parameters(known, code), purpose, now) for code in _codes(known)}
    if "deny" in verdicts:
        return "deny"
    permitted = len({term.code for term in known} & PERMISSIONS) == 1
    if len(known) != len(terms) or not permitted or "human" in verdicts:
        return "human"
    return "allow"


def _codes(terms: list[Term]) -> list[str]:
    return list(dict.fromkeys(term.code for term in terms))


def _parameters(terms: list[Term], code: str) -> list[str | None]:
    return [term.parameter for term in terms if term.code == code]


def _judge(code: str, parameters: list[str | None], purpose: Purpose, now: datetime) -> Verdict:
    if code in PERMISSIONS:
        return _permission(code, parameters, purpose)
    if code in PARAMETERISED:
        stated = [p for p in parameters if p]
        if len(stated) != len(parameters):
            return "human"
        return (
            _dated(code, stated, purpose, now)
            if code in ("TS", "MOR")
            else _member(stated, purpose.parameters(code))
        )
    if code == "NPOA":
        if purpose.research is None:
            return "human"
        return "deny" if purpose.research == "POA" else "allow"
    if code == "IRB":
        if purpose.vote_until is None:
            return "human"
        return "allow" if now < purpose.vote_until else "deny"
    return "allow" if _promised(code, purpose) else "human"


def _promised(code: str, purpose: Purpose) -> bool:
    # Not by subclass: in the ontology NPU is a kind of NPUNCU, yet it does not satisfy it.
    if code in ("NPU", "NCU"):
        return purpose.states(code, "NPUNCU")
    if code == "NPUNCU":
        return purpose.states("NPUNCU") or (purpose.states("NPU") and purpose.states("NCU"))
    return purpose.states(code)


def _permission(code: str, parameters: list[str | None], purpose: Purpose) -> Verdict:
    if code == "NRES":
        return "allow"
    research = purpose.research
    if research is None:
        return "human"
    if code == "GRU":
        return "allow"
    if code == "HMB":
        return "allow" if research in ("HMB", "DS") else "deny"
    if code == "POA":
        return "allow" if research == "POA" else "deny"
    return _disease(parameters, purpose) if research == "DS" else "deny"


def _disease(parameters: list[str | None], purpose: Purpose) -> Verdict:
    permitted = [parameter for parameter in parameters if parameter]
    studied = purpose.parameters("DS")
    bare = any(term.code == "DS" and not term.parameter for term in purpose.terms)
    if len(permitted) != len(parameters) or bare or not studied:
        return "human"
    if studied <= set(permitted):
        return "allow"
    tree = purpose.is_kind_of
    if tree is None:
        return "human"
    inside = all(any(d == p or tree(d, p) for p in permitted) for d in studied)
    return "allow" if inside else "deny"


def _member(permitted: list[str], stated: set[str]) -> Verdict:
    if not stated:
        return "human"
    return "allow" if stated <= set(permitted) else "deny"


def _dated(code: str, dates: list[str], purpose: Purpose, now: datetime) -> Verdict:
    try:
        days = [date.fromisoformat(day) for day in dates]
    except ValueError:
        return "human"
    if code == "MOR":
        return "allow" if purpose.states("MOR") else "human"
    return "allow" if now.date() <= min(days) else "deny"
