"""Witnesses: every status of the protocol, and no two views cosigned, whatever is asked."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.ledger.histories import History, fork
from tests.ledger.vectors import (
    COSIGNED_AT,
    LOG_LINE,
    LOG_VKEY,
    ORIGIN,
    SIGNED_BY_BOTH,
    WITNESS,
    WITNESS_LINE,
    entries,
    log_identity,
    witness_identity,
)

from branchline.foundation.clock import FixedClock
from branchline.foundation.errors import Corrupt, NotFound, Refused
from branchline.foundation.keys import Identity
from branchline.ledger.proof.checkpoint import Checkpoint
from branchline.ledger.proof.cosignature import cosignatures
from branchline.ledger.proof.evidence import check_evidence
from branchline.ledger.proof.merkle import EMPTY_ROOT
from branchline.ledger.proof.note import parse_key, parse_note, sign_note
from branchline.ledger.proof.policy import dishonest_tolerated
from branchline.ledger.witness.decision import Accepted, Declined, Known, consider
from branchline.ledger.witness.store import WitnessStore
from branchline.ledger.witness.wire import (
    MAX_REQUEST,
    Answer,
    Request,
    parse_answer,
    parse_request,
    parse_size,
)
from branchline.ledger.witness.witness import Witness

KEYS = [parse_key(LOG_VKEY)]
TRUE, FORGED = fork(shared=2, size=9)


@pytest.fixture
def store(engine: Engine) -> WitnessStore:
    """Give a witness's memory on a database of its own."""
    return WitnessStore(engine)


@pytest.fixture
def clock() -> FixedClock:
    """Give a clock that shows the vectors' time."""
    return FixedClock(datetime.fromtimestamp(COSIGNED_AT, UTC))


@pytest.fixture
def witness(store: WitnessStore, clock: FixedClock) -> Witness:
    """Give the witness of the vectors."""
    return Witness(store, WITNESS, witness_identity(), clock, logs={ORIGIN: KEYS})


def test_the_witness_of_the_vectors_answers_its_line(witness: Witness) -> None:
    """Asked for the first time, it cosigns the published checkpoint to the byte."""
    answer = witness.add_checkpoint(TRUE.request(0, 5).body)
    assert answer == Answer(200, WITNESS_LINE)
    assert witness.latest(ORIGIN).decode() == SIGNED_BY_BOTH
    by_hash = sha256(ORIGIN.encode()).hexdigest()
    assert witness.latest_by_hash(by_hash).decode() == SIGNED_BY_BOTH
    (found,) = parse_answer(answer.body.encode(), TRUE.checkpoint(5).text, witness.keys)
    assert found.at == COSIGNED_AT
    assert answer.content_type == "text/plain; charset=utf-8"


def test_a_witness_that_saw_nothing_says_so(witness: Witness) -> None:
    """There is no latest checkpoint before the first one."""
    assert witness.size_of(ORIGIN) == 0
    with pytest.raises(NotFound):
        witness.latest(ORIGIN)
    witness.add_checkpoint(TRUE.request(0, 5).body)
    with pytest.raises(NotFound):
        witness.latest_by_hash("00" * 32)


def _text(size: str, root: str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=") -> bytes:
    """Return a signed note whose text is shaped like a checkpoint."""
    return sign_note(f"{ORIGIN}\n{size}\n{root}\n", ORIGIN, log_identity()).full_text.encode()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (TRUE.request(3, 3).body, 200),
        (TRUE.request(3, 4).body, 200),
        (TRUE.request(3, 9).body, 200),
        (b"", 400),
        (b"old 3\n\n", 400),
        (b"old 3\n\nno note", 400),
        (TRUE.request(3, 5).body.replace(b"old 3", b"old 03"), 400),
        (TRUE.request(3, 5).body.replace(b"old 3", b"old -3"), 400),
        (TRUE.request(3, 5).body.replace(b"old 3", b"Old 3"), 400),
        (TRUE.request(3, 5).body.replace(b"=\n\n", b"\n\n", 1), 400),
        (Request(3, (*TRUE.path(3, 5), bytes(31)), TRUE.note(5).encode()).body, 400),
        (Request(3, (bytes(32),) * 64, TRUE.note(5).encode()).body, 400),
        (Request(6, (), TRUE.note(5).encode()).body, 400),
        (Request(3, (), _text("5\nextension")).body, 400),
        (Request(3, (), _text("05")).body, 400),
        (Request(3, (), TRUE.note(5).encode().replace(b"\n\n", b"\n")).body, 400),
        (TRUE.request(3, 5).body.replace(LOG_LINE.encode(), WITNESS_LINE.encode()), 403),
        (TRUE.request(3, 5).body.replace(b"1dfIEDMp", b"1dfIEDMq"), 403),
        (History(entries(9), "other.example").request(3, 5).body, 404),
        (TRUE.request(2, 5).body, 409),
        (TRUE.request(4, 5).body, 409),
        (TRUE.request(0, 5).body, 409),
        (TRUE.request(2, 2).body, 409),
        (Request(0, (), _text("0")).body, 409),
        (Request(0, (), _text("0", root="A" * 43 + "=")).body, 422),
        (Request(3, (), TRUE.note(5).encode()).body, 422),
        (Request(3, TRUE.path(3, 6), TRUE.note(5).encode()).body, 422),
        (Request(3, TRUE.path(3, 5), FORGED.note(5).encode()).body, 422),
        (FORGED.request(3, 5).body, 422),
        (FORGED.request(3, 3).body, 422),
        (Request(3, (bytes(32),), TRUE.note(3).encode()).body, 422),
    ],
)
def test_every_request_has_its_status(body: bytes, status: int, witness: Witness) -> None:
    """A witness that cosigned three entries answers each request as tlog-witness says."""
    witness.add_checkpoint(TRUE.request(0, 3).body)
    answer = witness.add_checkpoint(body)
    assert answer.status == status
    if status == 409:
        assert answer == Answer(409, "3\n", "text/x.tlog.size")
        assert parse_size(answer.body.encode()) == 3
    if status == 200:
        note = parse_note(witness.latest(ORIGIN))
        assert note.text == parse_note(parse_request(body).note).text
        assert len(cosignatures(note, witness.keys)) == 1
    else:
        assert witness.size_of(ORIGIN) == 3
        assert answer.body.endswith("\n")


def test_a_proof_from_nothing_is_empty(witness: Witness) -> None:
    """A first request with a proof is refused; so is a size no log has."""
    proof = Request(0, TRUE.path(3, 5), TRUE.note(5).encode())
    assert witness.add_checkpoint(proof.body).status == 422
    assert witness.add_checkpoint(TRUE.request(1, 5).body) == Answer(409, "0\n", "text/x.tlog.size")


def test_the_empty_log_is_cosigned_and_grows(witness: Witness) -> None:
    """Size 0 is a checkpoint like every other."""
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT).text
    note = sign_note(empty, ORIGIN, log_identity()).full_text.encode()
    assert witness.add_checkpoint(Request(0, (), note).body).status == 200
    assert witness.add_checkpoint(Request(0, (), note).body).status == 200
    assert witness.add_checkpoint(TRUE.request(0, 5).body).status == 200
    assert witness.add_checkpoint(Request(0, (), note).body).status == 409


def test_the_largest_size_there_is_is_remembered(witness: Witness) -> None:
    """A log that claims a size that no log has does not bring the witness down."""
    largest = Request(0, (), _text(str(2**63 - 1)))
    assert witness.add_checkpoint(largest.body).status == 200
    assert witness.size_of(ORIGIN) == 2**63 - 1
    assert witness.add_checkpoint(Request(0, (), _text(str(2**63))).body).status == 400


def test_lines_of_strangers_are_not_kept(witness: Witness) -> None:
    """What a witness shows is signed by the log and by itself, and was verified."""
    stranger = sign_note("x\n", "stranger", Identity.create()).signatures[0].line
    request = Request(0, (), SIGNED_BY_BOTH.encode() + stranger.encode())
    assert witness.add_checkpoint(request.body).status == 200
    assert witness.latest(ORIGIN).decode() == SIGNED_BY_BOTH


def test_a_second_key_that_outlives_quantum_computers_signs_too(
    store: WitnessStore, clock: FixedClock
) -> None:
    """With an ML-DSA-44 key every answer has two lines, each of which holds."""
    witness = Witness(
        store,
        WITNESS,
        witness_identity(),
        clock,
        logs={ORIGIN: KEYS},
        post_quantum=MLDSA44PrivateKey.from_seed_bytes(bytes([2]) * 32),
    )
    answer = witness.add_checkpoint(TRUE.request(0, 5).body)
    found = parse_answer(answer.body.encode(), TRUE.checkpoint(5).text, witness.keys)
    assert [cosigned.key for cosigned in found] == witness.keys
    assert len(witness.keys) == 2


@pytest.mark.parametrize("at", [-86_400 * 400, 0, 86_400 * 400])
def test_a_clock_that_jumps_changes_no_decision(
    at: int, witness: Witness, clock: FixedClock
) -> None:
    """The time stands in the cosignature as the clock showed it; what is cosigned is the same."""
    witness.add_checkpoint(TRUE.request(0, 3).body)
    clock.advance(at)
    assert witness.add_checkpoint(FORGED.request(3, 5).body).status == 422
    answer = witness.add_checkpoint(TRUE.request(3, 5).body)
    (found,) = parse_answer(answer.body.encode(), TRUE.checkpoint(5).text, witness.keys)
    assert found.at == COSIGNED_AT + at


def test_a_clock_that_was_never_set_cosigns_nothing(store: WitnessStore) -> None:
    """A time of zero would say that no statement is made of the time."""
    unset = FixedClock(datetime.fromtimestamp(0, UTC))
    witness = Witness(store, WITNESS, witness_identity(), unset, logs={ORIGIN: KEYS})
    answer = witness.add_checkpoint(TRUE.request(0, 3).body)
    assert answer.status == 503
    assert "cannot bear the time 0" in answer.body
    assert witness.size_of(ORIGIN) == 0


class Overtaken(WitnessStore):
    """A memory in which another request is quicker once."""

    def __init__(self, engine: Engine, meanwhile: Callable[[], object]) -> None:
        super().__init__(engine)
        self.meanwhile = meanwhile

    def advance(self, old: Known | None, new: Known) -> bool:
        """Let the other request through first."""
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return super().advance(old, new)


@pytest.mark.parametrize("before", [0, 3])
def test_a_slower_request_does_not_take_the_witness_back(
    before: int, witness: Witness, engine: Engine, clock: FixedClock
) -> None:
    """The race of tlog-witness: A is checked, B is stored, and A is answered with B's size."""
    if before:
        witness.add_checkpoint(TRUE.request(0, before).body)
    quicker = TRUE.request(before, 7).body
    store = Overtaken(engine, lambda: witness.add_checkpoint(quicker))
    slow = Witness(store, WITNESS, witness_identity(), clock, logs={ORIGIN: KEYS})
    assert slow.add_checkpoint(TRUE.request(before, 5).body) == Answer(
        409, "7\n", "text/x.tlog.size"
    )
    assert witness.size_of(ORIGIN) == 7


def test_a_witness_that_is_always_overtaken_asks_to_be_asked_again(
    engine: Engine, clock: FixedClock
) -> None:
    """It gives up in the end, without a cosignature."""

    class Never(WitnessStore):
        def advance(self, old: Known | None, new: Known) -> bool:
            return False

    witness = Witness(Never(engine), WITNESS, witness_identity(), clock, logs={ORIGIN: KEYS})
    assert witness.add_checkpoint(TRUE.request(0, 5).body).status == 503


def test_many_requests_at_once_leave_one_line_of_history(
    witness: Witness, store: WitnessStore
) -> None:
    """Threads that ask for both histories get cosignatures on one of them only."""
    asked = [history.request(0, size) for history in (TRUE, FORGED) for size in (5, 6, 7)]
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(witness.add_checkpoint, [request.body for request in asked]))
    assert [answer.status for answer in answers].count(200) == 1
    assert {answer.status for answer in answers} == {200, 409}


@pytest.mark.parametrize("old", range(1, 8))
def test_a_fork_is_refused_with_evidence_where_the_request_holds_it(
    old: int, witness: Witness
) -> None:
    """The log's own proof convicts it, but for powers of two, where it leaves the hash out."""
    true, forged = fork(shared=0, size=9)
    witness.add_checkpoint(true.request(0, old).body)
    assert witness.add_checkpoint(forged.request(old, 8).body).status == 422
    found = witness.evidence()
    assert len(found) == (0 if old in (1, 2, 4) else 1)
    for evidence in found:
        shown = check_evidence(evidence.text.encode(), LOG_VKEY, witness.keys)
        assert (shown.smaller, shown.larger) == (true.checkpoint(old), forged.checkpoint(8))
        assert shown.cosigned_both == ()


def test_two_roots_of_one_size_are_evidence(witness: Witness) -> None:
    """A split view shown to one witness is kept once, for anybody to check."""
    witness.add_checkpoint(TRUE.request(0, 4).body)
    for _ in range(2):
        assert witness.add_checkpoint(FORGED.request(4, 4).body).status == 422
    (evidence,) = witness.evidence()
    shown = check_evidence(evidence.text.encode(), LOG_VKEY)
    assert shown.sentence == f"{ORIGIN} signed two different histories of 4 entries"


def test_a_bad_proof_alone_is_no_evidence(witness: Witness) -> None:
    """Anybody can send a wrong proof; it convicts nobody."""
    witness.add_checkpoint(TRUE.request(0, 3).body)
    wrong = Request(3, (bytes(32),) * 4, TRUE.note(5).encode())
    assert witness.add_checkpoint(wrong.body).status == 422
    assert witness.evidence() == []


def test_requests_and_answers_are_read_strictly() -> None:
    """What is not in its one spelling is refused in our own words."""
    request = TRUE.request(3, 5)
    assert parse_request(request.body) == request
    for body in (request.body[:-1].replace(b"\n\n", b"\n"), b"\xff" + request.body):
        with pytest.raises(Refused):
            parse_request(body)
    for size in (b"", b"3", b"31", b"03\n", b"3\n\n", b"\xff\n"):
        with pytest.raises(Corrupt):
            parse_size(size)
    for lines in (b"", b"\xff\n", WITNESS_LINE.encode() + b"x"):
        with pytest.raises(Corrupt):
            parse_answer(lines, "", [])
    with pytest.raises(Corrupt, match="is not"):
        parse_size(b"\xff\n")
    assert MAX_REQUEST == 1_008_192
    assert Request(0, (), b"\xff\n1\n").origin == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("hashes", "size", "fits"),
    [(63, 5000, True), (64, 5000, False), (0, 1_008_192, True), (0, 1_008_193, False)],
)
def test_a_request_has_63_hashes_and_1_008_192_bytes_at_most(
    hashes: int, size: int, fits: bool
) -> None:
    """To the last of them it is read; one more, and it is refused."""
    head = Request(7, (bytes(32),) * hashes, b"").body
    body = head + b"x" * (size - len(head))
    if fits:
        assert parse_request(body).body == body
        return
    with pytest.raises(Refused):
        parse_request(body)


@given(st.integers(0, 10**18), st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_every_request_reads_back(old: int, path: list[bytes]) -> None:
    """Whatever size and proof, the body gives the same request again."""
    request = Request(old, tuple(path), SIGNED_BY_BOTH.encode())
    assert parse_request(request.body) == request


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    """Arbitrary bytes are a malformed request, never a crash."""
    try:
        decision = consider(parse_request(noise), KEYS, None)
    except Refused:
        return
    assert isinstance(decision, Declined)
    assert decision.status == 400


# --- the model: everything that can be asked of a witness, to the end -----------------------------

SMALL = fork(shared=1, size=4)
View = tuple[int, int]
"""A history's number and a size."""


def consistent(first: View, second: View) -> bool:
    """Tell whether two views can be of one log: the truth, from the leaves themselves."""
    one = SMALL[first[0]].leaves[: first[1]]
    other = SMALL[second[0]].leaves[: second[1]]
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


@cache
def requests() -> tuple[tuple[View, Request], ...]:
    """Everything a log with two histories can ask: each old size, each view, each honest proof."""
    paths = {
        history.path(old, new)
        for history in SMALL
        for old in range(5)
        for new in range(max(old, 1), 5)
    }
    return tuple(
        ((number, size), Request(old, path, SMALL[number].note(size).encode()))
        for number, size in itertools.product(range(2), range(1, 5))
        for old in range(5)
        for path in sorted(paths)
    )


@cache
def accepted(known: View | None) -> frozenset[View]:
    """Return the views that a witness with this memory can be brought to cosign."""
    memory = None
    if known:
        history = SMALL[known[0]]
        memory = Known(history.checkpoint(known[1]), history.note(known[1]))
    return frozenset(
        view
        for view, request in requests()
        if isinstance(consider(request, KEYS, memory), Accepted)
    )


@cache
def reachable() -> frozenset[frozenset[View]]:
    """Search breadth first what an honest witness can ever have cosigned, all orders of asking."""
    start: tuple[View | None, frozenset[View]] = (None, frozenset())
    seen, frontier = {start}, [start]
    while frontier:
        frontier = [
            state
            for known, signed in frontier
            for view in accepted(known)
            if (state := (view, signed | {view})) not in seen
        ]
        seen.update(frontier)
    return frozenset(signed for _, signed in seen)


def test_no_honest_witness_ever_cosigns_two_views() -> None:
    """Whatever a lying log asks, in whatever order, the cosigned views are one line of history."""
    assert len(reachable()) > 20
    for signed in reachable():
        assert all(consistent(a, b) for a, b in itertools.combinations(signed, 2))


def test_every_honest_growth_can_be_cosigned() -> None:
    """The rule refuses no view that continues what was cosigned."""
    for number, size in itertools.product(range(2), range(1, 5)):
        for later in range(size, 5):
            assert (number, later) in accepted((number, size))
    assert accepted(None) == frozenset(itertools.product(range(2), range(1, 5)))


@pytest.mark.parametrize("parties", range(1, 5))
def test_no_quorum_forms_behind_two_views_while_few_enough_lie(parties: int) -> None:
    """Up to four parties, all they can ever have cosigned: the fork has a quorum on one side only.

    Witnesses share nothing, so what several can reach together is every choice of what each can.
    """
    for threshold in range(1, parties + 1):
        dishonest = dishonest_tolerated(parties, threshold)
        if dishonest < 0:
            continue
        for signed in itertools.combinations_with_replacement(reachable(), parties - dishonest):
            quorate = [
                view
                for view in itertools.product(range(2), range(1, 5))
                if sum(view in views for views in signed) + dishonest >= threshold
            ]
            if dishonest < threshold:
                assert all(consistent(a, b) for a, b in itertools.combinations(quorate, 2))
