"""Published test vectors of the ledger's formats, checked against Go's note and tlog packages."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from branchline.foundation.keys import Identity

ORIGIN = "log.example/branchline"
LOG_VKEY = "log.example/branchline+d5d7c810+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"

WITNESS = "station-a.example/witness"
WITNESS_VKEY = "station-a.example/witness+fd8290a8+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU"
COSIGNED_AT = 1_764_600_000

ROOTS = {
    1: "dziFphNIniTOLPdhmdakI/BC5LvxLX7s7pEu8nbGVwE=",
    3: "lPvQ3YNvUDAWkubQ6t5yjuGexSv/8WBu2AfIV11aqhk=",
    4: "l5nzB1F+9RfCIF35tndivzR1ayAJn7ffzOdrzr0nOy4=",
    5: "fKo0Xb2JKmZFTWxlEuo8PqPw0+whvj/C4jdXBf049nI=",
    256: "2mWW2VNp9f7zIquOTg2jsLUCNqqcijsdJG90Ecni4y4=",
    257: "XB/f6DU1gCLyOS3keNvgU/wTDP4dOggoeakM9r8Uv34=",
    1000: "NGxrnLicS3b6ydyyDNqG46AcCldBfBOQKOrNRTj96Vs=",
    70000: "o5IPun8jmgcam9EHIfE0Gt3vuu3ttBx+JEN6nRa98Ao=",
}

GROWTH = {
    (3, 5): (
        "V8efTzGuApxdS9MLBzwnyU35NDiytGl+Hh7vW8A5SkE=",
        "YcoROfaBWEHVuvLQ0tm9nf7pfImN1ve6DAqpQe5sAes=",
        "WkdmL9ijF9lgSaP59HxV3GfKZgUbqjaD27GbL+CaB7A=",
        "SFM123z+yWXxX/dF/GJcQdXqJkaTaTAWWCj3PdS2iFQ=",
    ),
    (4, 5): ("SFM123z+yWXxX/dF/GJcQdXqJkaTaTAWWCj3PdS2iFQ=",),
}

LOG_LINE = (
    "— log.example/branchline 1dfIEDMpDGm1p/C6Z+H9XiDIj+dKP/SpxI1njuMBEZqv0owxsX231KnjpoEf8eIm"
    "kBwlyJZbpb4wcrRIef5KBJrqkw0=\n"
)
WITNESS_LINE = (
    "— station-a.example/witness /YKQqAAAAABpLajA2aQZ9bSiURq+2wwGQjhbqvdZmflOBb49WNmciVnxFMxKAc6P"
    "pvfBMGUEVKEh4Ry3GcCZsJVqIT/drjxdY558DQ==\n"
)

RECEIPT = f"""c2sp.org/tlog-proof@v1
index 2
YcoROfaBWEHVuvLQ0tm9nf7pfImN1ve6DAqpQe5sAes=
WkdmL9ijF9lgSaP59HxV3GfKZgUbqjaD27GbL+CaB7A=
SFM123z+yWXxX/dF/GJcQdXqJkaTaTAWWCj3PdS2iFQ=

log.example/branchline
5
fKo0Xb2JKmZFTWxlEuo8PqPw0+whvj/C4jdXBf049nI=

{LOG_LINE}{WITNESS_LINE}"""

SIGNED_BY_BOTH = RECEIPT.partition("\n\n")[2]
"""The checkpoint of size 5, signed by the log and cosigned by the witness."""

NOTE_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXm"
    "RKuwHjG1Yu72IneyaQM=\n"
)

DISCLOSURE = "WyI2cU1RdlJMNWhhaiIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
DISCLOSURE_DIGEST = "uutlBuYeMDyjLLTpf6Jxi7yNkEF35jdyWMn9U7b_RYY"


def identity_of(seed: int) -> Identity:
    """Return the keys that one byte, 32 times, is the seed of."""
    raw = bytes([seed]) * 32
    return Identity(
        Ed25519PrivateKey.from_private_bytes(raw), X25519PrivateKey.from_private_bytes(raw)
    )


def log_identity() -> Identity:
    """Return the keys of the vectors' log (seed 01 × 32)."""
    return identity_of(1)


def witness_identity() -> Identity:
    """Return the keys of the vectors' witness (seed 02 × 32)."""
    return identity_of(2)


def entries(count: int, first: int = 0) -> list[bytes]:
    """Return the vectors' leaves: ``entry 0``, ``entry 1``, …"""
    return [b"entry %d" % number for number in range(first, first + count)]
