"""The gates every journey must pass: at central, and again at each station on its own facts.

Each gate is a pure function of the facts and the time. A gate that lacks a fact fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from branchline.foundation.errors import Conflict, NotAllowed
from branchline.study.document import Person, Role, StudyDocument, contradiction
from branchline.study.duo import Purpose, match, parse_term
from branchline.study.facts import Facts
from branchline.study.lifecycle import Standing, State, standing_of

SKEW = timedelta(minutes=5)
"""How far a decision may lie in the evaluator's future: clocks differ."""


@dataclass(frozen=True, slots=True)
class GateResult:
    """Say whether one gate passed; if not, why, in sentences for the requester.

    Args:
        gate: The gate's name.
        verdict: pass, fail, or human: a person has to decide something first.
        reasons: Empty if and only if it passed.
    """

    gate: str
    verdict: Literal["pass", "fail", "human"]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Case:
    """Hold facts together with what several gates derive from them."""

    facts: Facts
    study: StudyDocument
    standing: Standing | str
    now: datetime


Gate = Callable[[_Case], Iterator[str]]


def evaluate(facts: Facts, now: datetime) -> list[GateResult]:
    """Evaluate every gate.

    Args:
        facts: What the evaluator knows.
        now: The time, aware of its zone.

    Returns:
        One result per gate, always in the same order.
    """
    study = facts.study
    if study is None or facts.study_digest is None:
        missing = ("The study that the request names is not known here",)
        return [GateResult(gate, "fail", missing) for gate in GATES]
    if study.digest != facts.study_digest or contradiction(study):
        wrong = ("The study document is not the one that the request names, or contradicts itself",)
        return [GateResult(gate, "fail", wrong) for gate in GATES]
    case = _Case(facts, study, _standing(facts, study, now), now)
    results = []
    for name, gate in GATES.items():
        reasons = tuple(gate(case))
        verdict: Literal["pass", "fail", "human"] = "fail" if reasons else "pass"
        if reasons and all(reason.startswith(_HUMAN) for reason in reasons):
            verdict = "human"
        results.append(GateResult(name, verdict, reasons))
    return results


def permits(results: Iterable[GateResult]) -> bool:
    """Tell whether every gate was evaluated, each once, and passed."""
    results = list(results)
    complete = [result.gate for result in results] == list(GATES)
    return complete and all(r.verdict == "pass" and not r.reasons for r in results)


def _standing(facts: Facts, study: StudyDocument, now: datetime) -> Standing | str:
    if facts.decisions is None:
        return "The decisions about the study are not known here"
    if any(decision.at > now + SKEW for decision in facts.decisions):
        return "A decision about the study lies in the future"
    try:
        return standing_of(study, facts.decisions)
    except (NotAllowed, Conflict) as error:
        return f"The decisions about the study do not hold: {error.refused}"


def _active(case: _Case) -> Iterator[str]:
    if isinstance(case.standing, str):
        yield case.standing
    elif case.standing.state is not State.ACTIVE:
        yield f"The study is {case.standing.state.value}, not active"


def _valid_now(case: _Case) -> Iterator[str]:
    if case.now < case.study.valid_from:
        yield "The study has not begun"
    if case.now >= case.study.valid_until:
        yield "The study has ended"


def _ethics(case: _Case) -> Iterator[str]:
    vote = case.study.ethics_vote
    if vote is not None and case.now >= vote.valid_until:
        yield "The ethics vote of the study has expired"


def _requester(case: _Case) -> Iterator[str]:
    if case.facts.requester is None:
        yield "It is not known who asks"
        return
    yield from _in_role(case.study, case.facts.requester, case.study.requesters, "request journeys")


def _train(case: _Case) -> Iterator[str]:
    train = case.facts.train
    if train is None:
        yield "The train is not known here"
        return
    yield from _in_role(case.study, train.signer, case.study.train_signers, "sign trains")
    if case.study.trains is not None and train.digest not in case.study.trains:
        yield "The train is none of those the study names"


def _in_role(study: StudyDocument, key: str, roles: tuple[Role, ...], act: str) -> Iterator[str]:
    person: Person | None = study.person_with(key)
    if person is None:
        yield f"A key that belongs to nobody of the study cannot {act}"
    elif person.role not in roles:
        yield f"{person.name!r} is {person.role} in the study, and may not {act}"


def _environment(case: _Case) -> Iterator[str]:
    train = case.facts.train
    if train is None:
        yield "The train's environment is not known here"
    elif not train.reproducible and not case.study.allow_not_reproducible:
        yield "The study permits reproducible environments only"


def _route(case: _Case) -> Iterator[str]:
    route = case.facts.route
    if route is None:
        yield "The route is not known here"
        return
    if route.kind not in ("parallel", "sequential"):
        yield "The route is neither parallel nor sequential"
    if not route.stations or len(set(route.stations)) != len(route.stations):
        yield "The route names no station, or one twice"
    for name in route.stations:
        if case.study.station(name) is None:
            yield f"Station {name!r} is not in the study"


def _quorum(case: _Case) -> Iterator[str]:
    route = case.facts.route
    if route is None:
        yield "The route is not known here"
        return
    least = case.study.minimum_stations
    needed = route.quorum if route.kind == "parallel" else len(route.stations)
    if needed < max(least, 1):
        yield f"The study asks for at least {least} stations behind a result, the route for {needed}"
    if route.quorum > len(route.stations):
        yield "The quorum is larger than the route"


def _aggregator(case: _Case) -> Iterator[str]:
    route = case.facts.route
    if route is None:
        yield "The route is not known here"
    elif route.kind == "sequential":
        if route.aggregator is not None:
            yield "A sequential route has no aggregator"
    elif route.aggregator != case.study.aggregator:
        yield f"The study permits combining at {case.study.aggregator!r} only"


def _sites(case: _Case) -> Iterator[str]:
    if isinstance(case.standing, str):
        yield case.standing
        return
    concerned = _concerned(case.facts)
    if concerned is None:
        yield "The stations' datasets are not known here"
        return
    for name, datasets in concerned.items():
        approval = case.standing.sites.get(name)
        if approval is None:
            yield f"Station {name!r} has not approved the study"
            continue
        for dataset in sorted(datasets - set(approval.datasets)):
            yield f"Station {name!r} has not approved the study for dataset {dataset!r}"


def _use_terms(case: _Case) -> Iterator[str]:
    if _concerned(case.facts) is None:
        yield "The datasets' use terms are not known here"
        return
    vote = case.study.ethics_vote
    terms = tuple(t for t in map(parse_term, case.study.duo) if t is not None)
    purpose = Purpose(terms, vote.valid_until if vote else None, case.facts.is_kind_of)
    for name, datasets in (case.facts.datasets or {}).items():
        for dataset in datasets:
            verdict = match(dataset.use_terms, purpose, case.now)
            if verdict == "human":
                yield f"{_HUMAN} of dataset {dataset.name!r} at {name!r} fit the study"
            elif verdict != "allow":
                yield f"The use terms of dataset {dataset.name!r} at {name!r} forbid the purpose"


_HUMAN = "A person has to decide whether the use terms"


def _concerned(facts: Facts) -> Mapping[str, set[str]] | None:
    """Return the datasets per station, if they are stations on the route with datasets each."""
    if facts.route is None or not facts.datasets:
        return None
    if not set(facts.datasets) <= set(facts.route.stations) or not all(facts.datasets.values()):
        return None
    return {name: {d.name for d in datasets} for name, datasets in facts.datasets.items()}


GATES: Mapping[str, Gate] = {
    "study-active": _active,
    "study-valid-now": _valid_now,
    "ethics-vote": _ethics,
    "requester": _requester,
    "train": _train,
    "environment": _environment,
    "route": _route,
    "quorum": _quorum,
    "aggregator": _aggregator,
    "site-approval": _sites,
    "use-terms": _use_terms,
}
"""Every gate by name; a journey needs all of them."""
