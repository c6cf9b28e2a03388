"""Verify a project's activity: its records and chains, their contents, and the history they name."""

from __future__ import annotations

from dataclasses import dataclass, field

from branchline.foundation.digest import digest_of_file
from branchline.project.activity.chain import Fault, verify_records
from branchline.project.activity.files import (
    BLOBS,
    FOLDER,
    blob_name,
    keep_seen,
    read_seen,
    record_files,
    strangers,
)
from branchline.project.activity.record import Signed
from branchline.project.activity.where import ADDED
from branchline.project.place import Project
from branchline.project.saving import without_activity


@dataclass
class Checked:
    """What verification found.

    Args:
        records: How many hold.
        clones: Those that wrote them.
        keys: The keys that signed, each with the names claimed beside it.
        absent: How many contents are not in this clone.
        faults: What should not be.
    """

    records: int
    clones: list[str]
    keys: dict[str, list[str]]
    absent: int = 0
    faults: list[Fault] = field(default_factory=list)


def verify(project: Project) -> Checked:
    """Check every record, every chain, every content that is here, and the history they were made on.

    What holds is remembered, so that a later change of it is noticed.
    """
    verdict = verify_records(record_files(project), project.described.id, read_seen(project))
    every = [signed for chain in verdict.records.values() for signed in chain]
    keys: dict[str, set[str]] = {}
    for signed in every:
        keys.setdefault(signed.record.by.key, set()).add(signed.record.by.name)
    named = {key: sorted(names) for key, names in sorted(keys.items())}
    checked = Checked(len(every), sorted(verdict.records), named, 0, verdict.faults)
    checked.faults += [
        Fault("altered", f"activity/{name} lies among the records and is none")
        for name in strangers(project.root)
    ]
    _check_contents(project, every, checked)
    checked.faults += _check_history(project, every)
    if not verdict.faults:
        keep_seen(project, verdict.heads)
    return checked


def _check_contents(project: Project, records: list[Signed], checked: Checked) -> None:
    digests = {
        detail.digest: signed
        for signed in records
        for detail in signed.record.details
        if detail.digest is not None
    }
    for digest, signed in digests.items():
        path = f"{BLOBS}/{blob_name(digest)}"
        file = project.root / path
        if not file.exists():
            if not file.is_symlink():
                sentence = f"{path}, which the record {signed.name} names, is gone"
                checked.faults.append(Fault("missing", sentence, signed.record.clone))
            checked.absent += 1
        elif digest_of_file(file) != digest:
            sentence = f"{path}, which the record {signed.name} names, has changed"
            checked.faults.append(Fault("altered", sentence, signed.record.clone))


def _check_history(project: Project, records: list[Signed]) -> list[Fault]:
    """Name the records whose commits no branch has any more, or whose saved files were replaced."""
    git = project.git
    reachable = set(git.run("rev-list", "--all", "HEAD").decode().split())
    faults = []
    for signed in records:
        commit = signed.record.commit
        if commit is not None and commit not in reachable:
            sentence = (
                f"The commit {commit[:12]}, on which the record {signed.name} was made, "
                "is in no branch any more: history was rewritten"
            )
            faults.append(Fault("rewritten", sentence, signed.record.clone))
    return faults + _check_trees(project, records)


def _check_trees(project: Project, records: list[Signed]) -> list[Fault]:
    """Hold the files that were committed with each save against the tree that its record signed."""
    saved = {f"{FOLDER}/{s.name}": s for s in records if s.record.tree is not None}
    words = (*ADDED, "--root", "-z")
    printed = project.git.run(*words, "--format=%x01%H", "--", FOLDER).decode(errors="replace")
    added: dict[str, list[str]] = {}
    for part in printed.split("\x01")[1:]:
        commit, *names = [name.strip("\n") for name in part.split("\0")]
        for name in names:
            if name in saved:
                added.setdefault(name, []).append(commit)
    commits_of_all = {commit for commits in added.values() for commit in commits}
    trees = {commit: without_activity(project, commit) for commit in sorted(commits_of_all)}
    # The last record of each clone whose save a commit finished.
    finished: dict[tuple[str, str], int] = {}
    for name, commits in added.items():
        record = saved[name].record
        for commit in commits:
            if record.tree == trees[commit]:
                at = (commit, record.clone)
                finished[at] = max(finished.get(at, -1), record.seq)
    faults = []
    for name, commits in added.items():
        record = saved[name].record
        # On other branches a record may have been put back, beside other files. And what a killed
        # save had recorded, the next one commits, with a record of its own for all there is by then.
        put_back = any(record.tree == trees[commit] for commit in commits)
        overtaken = all(finished.get((c, record.clone), -1) > record.seq for c in commits)
        if not (put_back or overtaken):
            where, clone = saved[name].name, record.clone
            sentence = (
                f"The commit {commits[-1][:12]} holds other files than its record {where} signed"
            )
            faults.append(Fault("rewritten", sentence, clone))
    return faults
