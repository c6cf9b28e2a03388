"""Trains and trials as people and programs see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from branchline.cli.frame import Answer, lines

if TYPE_CHECKING:
    from branchline.train.bundle import Bundle, OpenBundle
    from branchline.train.environment import TrainEnvironment
    from branchline.train.origin import Origin
    from branchline.workbench.trial import Trial, TrialRound


def train_as_json(train: Bundle | OpenBundle, size: int) -> dict[str, Any]:
    """Return what a train says of itself as plain JSON values."""
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(train.manifest)
    return {
        "train": train.digest,
        "bytes": size,
        "manifest": plain,
        "image": train.environment.image,
        "reproducible": train.environment.reproducible,
    }


def environment_as_text(environment: TrainEnvironment) -> list[str]:
    """Say in a few lines what a train runs in."""
    if environment.image is None:
        return ["runs in     each machine's own Python environment; not reproducible"]
    lock = environment.lock
    if lock is None:
        return [
            f"runs in     the image {environment.image}; not reproducible, since it has no lock"
        ]
    wheels = len(lock.python.wheels) if lock.python else 0
    conda = f", {len(lock.conda.packages)} of conda's" if lock.conda else ""
    packages = f"{len(lock.debian.packages)} Debian packages of {lock.debian.suite}{conda}"
    return [
        f"runs in     the image {environment.image}; reproducible",
        f"lock        {lock.digest}: {packages}, {wheels} of Python",
    ]


def origin_as_text(origin: Origin | None) -> list[str]:
    """Say in a few lines which project a train was packed from, as its author claims."""
    if origin is None:
        return []
    used = ", ".join(f"{each.name}@{each.number} {each.digest[7:23]}" for each in origin.lists)
    return [
        f"packed from {origin.project}, commit {origin.commit[:12]}, record {origin.record[7:19]}",
        *([f"made with   {used}"] if used else []),
    ]


def train_as_text(train: OpenBundle) -> str:
    """Return what a train says of itself on one screen."""
    manifest, route = train.manifest, train.manifest.route
    travels = f"{route.kind}, quorum {route.quorum}, {route.deadline_seconds:g} s each"
    if route.kind == "parallel":
        travels += f", at most {route.rounds} rounds"
    reads = [
        f"  {table.name}: {', '.join(f'{c.name} ({c.type})' for c in table.columns)}"
        for table in manifest.needs
    ]
    outputs = [_rule(name, rule.kind, rule.description) for name, rule in manifest.outputs.items()]
    result = [_rule(name, rule.kind, rule.description) for name, rule in manifest.result.items()]
    parameters = manifest.parameters.get("properties", {})
    return lines(
        f"{manifest.name} {manifest.version}: {manifest.description}",
        f"digest      {train.digest}",
        f"travels     {travels}",
        *environment_as_text(train.environment),
        *origin_as_text(manifest.origin),
        f"imports     {', '.join(manifest.environment.python) or 'nothing'}",
        "reads",
        *reads,
        "may put out",
        *outputs,
        "result" if result else "result      the last station's outputs",
        *result,
        "parameters" if parameters else "parameters  none",
        *(f"  {name}: {json.dumps(rule)}" for name, rule in parameters.items()),
        "files",
    )


def trial_answer(trial: Trial) -> Answer:
    """Show how a trial went."""
    seconds = trial.seconds
    text = lines(
        f"{trial.route} over {trial.stations} simulated stations; train {trial.train}",
        *(line for each in trial.rounds for line in _round(each)),
        "result",
        json.dumps(trial.as_json()["result"], indent=2, ensure_ascii=False),
        "enforced",
        *(f"  {name:<14} {how}" for name, how in sorted(trial.enforced.items())),
        f"{seconds['all']:.2f} s in all: {seconds['prepare']:.2f} preparing, "
        f"{seconds['start']:.2f} starting sandboxes, {seconds['run']:.2f} running",
        trial.mark,
    )
    return Answer(trial.as_json(), text)


_WORDS = {"release": "released", "hold": "would wait for a person", "withhold": "withheld"}


def _round(each: TrialRound) -> list[str]:
    told = [f"{each.station} round {each.round}: {_WORDS[each.action]}. {each.reason}"]
    told += [
        f"  {finding['output'] or 'all'}: {finding['verdict']} ({finding['rule']}) "
        + " ".join(f"{key}={value}" for key, value in finding["evidence"].items())
        for finding in each.findings
    ]
    return told + [f"  printed: {line}" for line in each.logs.splitlines()]


def _rule(name: str, kind: str, description: str) -> str:
    return f"  {name} ({kind}): {description}" if description else f"  {name} ({kind})"
