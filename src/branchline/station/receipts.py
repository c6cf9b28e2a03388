"""No receipt, no data: what has to be proved before a train is given anything to read.

The station has said in the ledger that it accepts a request, upon this dataset, at the dataset's
next place. Only when that word itself, and the request, stand under a checkpoint that the study's
witnesses cosigned, this station's own among them, does it extract the data. So nobody can have the
data run over and keep that from those who hold the dataset's topic.
"""

from __future__ import annotations

from branchline.foundation.errors import Corrupt
from branchline.journey.messages import Receipts
from branchline.ledger.entry import Entry
from branchline.ledger.proof.receipt import parse_receipt, verify_receipt
from branchline.study.document import StudyDocument
from branchline.study.witnesses import policy_of, witness_of


def check_receipts(
    answer: Receipts, request: Entry, accepted: Entry, study: StudyDocument, station: str
) -> None:
    """Check that a request and this station's acceptance of it are in the ledger, for everybody.

    1. Each receipt proves the very entry, at a checkpoint with the study's quorum.
    2. This station's own witness is among those that cosigned it.
    3. The acceptance stands after the request.

    Args:
        answer: What central gave: the receipts of the request and of the acceptance.
        request: The requester's act.
        accepted: This station's own.
        study: The study, as this station approved it.
        station: This station's name.

    Raises:
        Corrupt: A step fails.
    """
    if len(answer.receipts) != 2:
        raise Corrupt("Central did not give the receipts that were asked for")
    own = witness_of(study, station)
    if not own:
        raise Corrupt("The study does not count on this station's witness")
    policy = policy_of(study)
    positions = []
    for text, entry in zip(answer.receipts, (request, accepted), strict=True):
        receipt = parse_receipt(text)
        verify_receipt(receipt, entry.leaf, policy, cosigned_by=[own])
        positions.append(receipt.index)
    if positions[0] >= positions[1]:
        raise Corrupt("In the ledger this station's acceptance does not stand after the request")
