"""Reading typed values from several threads at once."""

import subprocess
import sys

PROGRAM = """
import sys, threading, msgspec
from branchline.foundation.decoding import decode_json
sys.setswitchinterval(1e-6)
source = "import msgspec\\nfrom typing import *\\n" + "".join(
    f"class A{i}(msgspec.Struct, frozen=True):\\n"
    f"    x: {'int' if i == 0 else f'A{i - 1}'} | None = None\\n"
    f"    y: dict[str, list[int]] = {{}}\\n"
    for i in range(12)
)
data = b'{"x":' * 11 + b'{"x":1}' + b"}" * 11
for _ in range(60):
    names = {}
    exec(source, names)
    barrier = threading.Barrier(4)

    def read():
        barrier.wait()
        decode_json(data, names["A11"])

    threads = [threading.Thread(target=read) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
print("alive")
"""


def test_four_threads_read_a_new_type_at_once() -> None:
    """The first reading of a type is one at a time: the process lives."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.strip() == "alive", done.stderr[-500:]
