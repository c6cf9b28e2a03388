"""What comes of checking a package, to the letter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ledger import packages as world
from tests.ledger.test_package import _TAMPERED, Change

from branchline.foundation.encoding import to_base64url
from branchline.foundation.errors import Corrupt
from branchline.ledger.entry import MAX_TAGS
from branchline.ledger.package_check import Step, verify_package
from branchline.ledger.standalone.verify import RECIPE


def steps_of(folder: Path, data: bytes, policy: str | None = None) -> dict[str, Step]:
    """Check a package and return what came of each step."""
    path = folder / "package.zip"
    path.write_bytes(data)
    report = verify_package(path, policy_digest=policy)
    assert [step.number for step in report.steps] == list(range(1, len(RECIPE) + 1))
    assert [(step.name, step.says) for step in report.steps] == [each[:2] for each in RECIPE]
    return {step.name: step for step in report.steps}


@pytest.mark.parametrize("full", [True, False])
def test_what_holds_is_told_with_what_was_found(full: bool, tmp_path: Path) -> None:
    """Of every step; what is not in a package is said not to be."""
    digest = world.policy().digest
    steps = steps_of(tmp_path, world.sample(full), digest)
    entries = world.ENTRIES + (not full)
    assert {name: step.found for name, step in steps.items()} == {
        "files": {"files": len(world.unpacked(world.sample(full))) - 1},
        "policy": {"policy": digest, "compared": True},
        "checkpoint": {"ledger": "log.example/branchline", "entries": 300},
        "receipts": {"entries": entries},
        "signatures": {"signers": 1 if full else 2},
        "fields": {"fields": 14 if full else 22},
        "ledger": {"entries": 300} if full else {},
        "tags": {} if full else {"tags": 14, "covered": 256},
        "topics": {
            "dataset/stays": {
                "entries": world.ENTRIES,
                "covered": 300 if full else 256,
                "incidents": [],
            }
        },
        "evidence": {},
    }
    absent = {"evidence", "tags" if full else "ledger"}
    for name, step in steps.items():
        assert step.outcome == ("not-included" if name in absent else "passed")
        assert step.reason == ("The package does not hold any of this" if name in absent else "")


def test_what_does_not_hold_is_told_with_what_it_keeps_others_from(tmp_path: Path) -> None:
    """A policy that is not the one expected: what rests on it is not reached, and the rest is."""
    digest = world.policy().digest
    steps = steps_of(tmp_path, world.sample(True), "sha256:0")
    assert steps["policy"].outcome == "failed"
    assert steps["policy"].reason == f"The policy is {digest}; expected sha256:0"
    assert steps["policy"].found == {}
    for name, cause in {
        "checkpoint": "policy",
        "receipts": "checkpoint",
        "ledger": "checkpoint",
        "topics": "ledger",
    }.items():
        assert steps[name].outcome == "not-reached"
        assert steps[name].reason == f"Needs the check {cause!r}, which does not hold"
    assert steps["signatures"].outcome == steps["fields"].outcome == "passed"
    assert steps_of(tmp_path, world.sample(True))["policy"].found["compared"] is False


REASONS = {
    "a file more": "The file more has no place in a package",
    "a folder more": "The file tags/more has no place in a package",
    "an entry without a receipt": "The package's file entries/4.tlog-proof cannot be read",
    "an entry without its end": "The entry 3 is not of the form <JWS>~<disclosure>~…~",
    "a position too large": "The position in a name is not a plain decimal number",
    "a policy cut": "Line 11 of the policy: 'quora'",
    "a weaker policy": "a group of 4 cannot need 9",
    "another key": "The policy does not know the log whose key the package names",
    "too few witnesses": "the policy asks for two-thirds",
    "no checkpoint": "Signature lines are 1 to 100 lines",
    "another ledger": "The receipt of the entry 3 is at another checkpoint",
    "a cosignature": "A base64 value is malformed",
    "a receipt's position": "The receipt of the entry 3 is another's",
    "a receipt of another": "The receipt of the entry 43 is another's",
    "a receipt cut": "A receipt does not begin with",
    "an entry of another": "The proof for position 43 does not lead to the root",
    "a stranger's entry": "The proof for position 43 does not lead to the root",
    "a field of another": "Disclosure 1 of an entry is not what its signer committed to",
    "a key less": "The entry 3 is signed by a key that the package does not name",
    "two entries exchanged": "does not hold the entry 10 that was signed",
    "a tile": "The ledger's file tile/0/000 has a wrong hash 0",
    "a tile more": "The file log/tile/5/000 is no part of the ledger",
    "a topic of somebody": "The topic dataset/stays is malformed",
    "a topic too short": "is not complete: No entry bears the tag number 7",
    "a topic too short, lightly": "is not complete: No entry bears the tag number 7",
    "a topic beyond all measure": "The topic dataset/stays is malformed",
    "another topic, lightly": "A proof by a tag tree does not settle where the tag",
    "a proof cut": "A proof by a tag tree is malformed or cut",
    "another head": "The head of the tag tree is in no entry by its keeper that is shown",
    "another keeper": "The head of the tag tree is in no entry by its keeper that is shown",
    "an entry not shown": "The entry 43, which a proof names, is not shown",
    "evidence of nothing": "Evidence is 'branchline/ledger-evidence@v1'",
}


@pytest.mark.parametrize("what", [case[0] for case in _TAMPERED])
def test_each_tampering_has_its_own_sentence(what: str, tmp_path: Path) -> None:
    """The first step that fails says what is wrong, and not what followed from it."""
    full, change, failing = _found(what)
    files = world.unpacked(world.sample(full))
    change(files)
    steps = steps_of(tmp_path, world.packed(files))
    assert REASONS[what] in steps[failing.split()[0]].reason


Edit = Callable[[Any], None]


def edited(full: bool, *edits: Edit) -> bytes:
    """Return a package whose list of contents says something else."""
    files = world.unpacked(world.sample(full))
    for edit in edits:
        files["contents.json"] = world.edited(files["contents.json"], edit)
    return world.packed(files)


def _short_key(contents: Any) -> None:
    contents["keys"][0]["sign"] = to_base64url(bytes(31))


def _one_key_twice(contents: Any) -> None:
    contents["keys"].append(contents["keys"][0])


def _another_form(contents: Any) -> None:
    contents["format"] = "branchline/package@v9"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (_short_key, "The package names a malformed key, or one twice"),
        (_one_key_twice, "The package names a malformed key, or one twice"),
        (_another_form, "The package's list of contents is not that of"),
    ],
)
def test_a_list_of_contents_that_means_nothing_is_refused(
    edit: Edit, said: str, tmp_path: Path
) -> None:
    """Before any step: there is nothing to check it against."""
    with pytest.raises(Corrupt, match=said):
        steps_of(tmp_path, edited(True, edit))


def test_a_file_listed_and_not_there_is_named(tmp_path: Path) -> None:
    """By the list alone, whatever the file would have been."""
    files = world.unpacked(world.sample(True))
    del files["entries/43.sd-jwt"]
    step = steps_of(tmp_path, world.packed(files, listed=False))["files"]
    assert step.reason == "The file entries/43.sd-jwt is missing, or not listed"


def test_a_signature_that_does_not_hold_is_named_by_its_own_step(tmp_path: Path) -> None:
    """Though the receipt of such an entry does not hold either."""
    files = world.unpacked(world.sample(True))
    jws, *rest = files["entries/43.sd-jwt"].decode().split("~")
    head, body, signature = jws.split(".")
    forged = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    files["entries/43.sd-jwt"] = "~".join((f"{head}.{body}.{forged}", *rest)).encode()
    steps = steps_of(tmp_path, world.packed(files))
    assert steps["receipts"].outcome == steps["signatures"].outcome == "failed"
    assert "signature" in steps["signatures"].reason


@pytest.mark.parametrize("full", [True, False])
def test_a_topic_may_say_so_many_entries_and_no_more(full: bool, tmp_path: Path) -> None:
    """As many as there could be tags; to look for more would never end."""
    covered = 300 if full else 256

    def at_least(number: int) -> str:
        def edit(contents: Any) -> None:
            contents["topics"][0]["at_least"] = number

        return steps_of(tmp_path, edited(full, edit))["topics"].reason

    assert "malformed" not in at_least(MAX_TAGS * covered)
    assert "malformed" in at_least(MAX_TAGS * covered + 1)


def _found(what: str) -> tuple[bool, Change, str]:
    (found,) = (case[1:] for case in _TAMPERED if case[0] == what)
    return found
