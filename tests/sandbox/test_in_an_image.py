"""An image is an environment like any other: the engines' contract and the attacks, in one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.environment.built import Built
from tests.sandbox import test_contract as contract
from tests.sandbox import test_hostile as hostile
from tests.sandbox.trains import Bench, run_once

from branchline.environment.image.recipe import META
from branchline.environment.mount import mount_image
from branchline.sandbox.bubblewrap import Bubblewrap


@pytest.fixture
def bench(tmp_path: Path, built_environment: Built) -> Bench:
    """Make jobs that run in an image."""
    mount = mount_image(built_environment.store, built_environment.image.digest)
    return Bench(tmp_path, mount)


listener = hostile.listener

test_a_round_sees_data_state_and_parameters = contract.test_a_round_sees_data_state_and_parameters
test_an_aggregator_combines_until_it_has_a_result = (
    contract.test_an_aggregator_combines_until_it_has_a_result
)
test_a_large_payload_goes_in_and_out = contract.test_a_large_payload_goes_in_and_out
test_a_command_reads_in_and_writes_out = contract.test_a_command_reads_in_and_writes_out
test_cancelling_a_round_ends_the_session = contract.test_cancelling_a_round_ends_the_session
test_sessions_side_by_side_are_strangers = contract.test_sessions_side_by_side_are_strangers

test_forbidden_calls_are_refused = hostile.test_forbidden_calls_are_refused
test_nothing_reaches_the_network = hostile.test_nothing_reaches_the_network
test_only_the_jobs_own_files_are_visible = hostile.test_only_the_jobs_own_files_are_visible
test_nothing_but_scratch_is_writable = hostile.test_nothing_but_scratch_is_writable
test_a_setuid_program_gains_nothing = hostile.test_a_setuid_program_gains_nothing
test_limits_cannot_be_raised_again = hostile.test_limits_cannot_be_raised_again


async def test_the_python_is_the_images(engine: Bubblewrap, bench: Bench) -> None:
    """Interpreter, packages and what the image says of itself are those that were built."""
    source = f"""
    import sys, numpy, pyarrow
    def station(data, state, parameters):
        return {{
            "python": sys.executable, "numpy": numpy.__file__, "pyarrow": pyarrow.__file__,
            "compiled": numpy.__cached__, "lock": open("/{META}/branchline.lock").read()[:60],
        }}
    """
    found = contract.outputs(await run_once(engine, bench.job(source)))
    assert found["python"] == "/usr/bin/python3"
    for name in ("numpy", "pyarrow", "compiled"):
        assert str(found[name]).startswith("/usr/local/lib/python3.11/dist-packages/")
    assert str(found["lock"]).startswith("# Every Debian package")
