"""A kernel's messages become cells: nothing is lost, errors least of all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.project.notebook.cells import (
    MOST_OUTPUTS,
    MOST_TEXT,
    Break,
    Cell,
    Message,
    Watcher,
)
from branchline.project.notebook.details import action_of, error_of, facts_of, parts_of

AT = "2026-11-21T10:00:00.000Z"


def message(
    kind: str, *, parent: str = "1", of: str = "execute_request", **content: Any
) -> Message:
    """Return a message that a request caused."""
    return Message(kind, AT, parent, of, content)


def busy(parent: str = "1") -> Message:
    """Return what opens a cell."""
    return message("status", parent=parent, execution_state="busy")


def idle(parent: str = "1") -> Message:
    """Return what closes a cell."""
    return message("status", parent=parent, execution_state="idle")


def code(text: str, count: int = 1, parent: str = "1") -> Message:
    """Return what says what is run."""
    return message("execute_input", parent=parent, code=text, execution_count=count)


def out(text: str, name: str = "stdout", parent: str = "1") -> Message:
    """Return text on a stream."""
    return message("stream", parent=parent, name=name, text=text)


def ran(*messages: Message) -> Cell:
    """Return the one cell that messages make, between busy and idle."""
    watcher = Watcher()
    found = [watcher.take(each) for each in (busy(), *messages, idle())]
    (cell,) = [each for each in found if each is not None]
    assert isinstance(cell, Cell)
    assert watcher.end() == []
    return cell


def test_a_cell_has_its_code_number_and_output() -> None:
    """What was run, and what came of it, by stream and in order."""
    cell = ran(
        code("print(1)", 7),
        out("a"),
        out("warn", "stderr"),
        out("b\n"),
        message("display_data", data={"image/png": "iVBO", "text/plain": "<Figure>"}),
        message("execute_result", execution_count=7, data={"text/plain": "3"}),
    )
    assert (cell.code, cell.count, cell.outcome) == ("print(1)", 7, "done")
    assert (cell.stdout, cell.stderr) == ("ab\n", "warn")
    assert [(output.kind, dict(output.data)) for output in cell.outputs] == [
        ("display", {"image/png": "iVBO", "text/plain": "<Figure>"}),
        ("result", {"text/plain": "3"}),
    ]
    assert cell.notes == ()


@pytest.mark.parametrize(
    ("name", "outcome"), [("ValueError", "failed"), ("KeyboardInterrupt", "interrupted")]
)
def test_a_failed_cell_is_kept_with_what_it_put_out(name: str, outcome: str) -> None:
    """An error is evidence; its colours are not."""
    traceback = ["\x1b[0;31mTraceback\x1b[0m", "line 1"]
    cell = ran(
        code("1/0"), out("before"), message("error", ename=name, evalue="no", traceback=traceback)
    )
    assert cell.outcome == outcome
    assert cell.stdout == "before"
    assert cell.failure is not None
    assert (cell.failure.name, cell.failure.value) == (name, "no")
    assert cell.failure.traceback == "Traceback\nline 1"


def test_what_is_redrawn_stands_as_it_stood_last() -> None:
    """A progress bar leaves one line, whole lines stay."""
    cell = ran(code("x"), out("10%\r"), out("50%\r100%\n"), out("done\r\n"))
    assert cell.stdout == "100%\ndone\r\n"


def test_what_is_cleared_is_gone_at_once_or_with_the_next_output() -> None:
    """As the notebook shows it."""
    shown = message("display_data", data={"text/plain": "1"})
    after = message("display_data", data={"text/plain": "2"})
    assert ran(code("x"), shown, out("a"), message("clear_output", wait=False)).outputs == ()
    kept = ran(code("x"), shown, message("clear_output", wait=True))
    assert [dict(output.data) for output in kept.outputs] == [{"text/plain": "1"}]
    renewed = ran(code("x"), shown, out("a"), message("clear_output", wait=True), after)
    assert [dict(output.data) for output in renewed.outputs] == [{"text/plain": "2"}]
    assert renewed.stdout == ""


def test_a_display_is_updated_where_it_stands_or_told_of_later() -> None:
    """An update of what another cell showed is an output of the cell that made it."""
    name = {"display_id": "bar"}
    first = message("display_data", data={"text/plain": "0"}, transient=name)
    update = message("update_display_data", data={"text/plain": "1"}, transient=name)
    cell = ran(code("x"), first, out("between"), update)
    assert [(o.kind, dict(o.data)) for o in cell.outputs] == [("display", {"text/plain": "1"})]
    later = ran(code("y"), update)
    assert [(o.kind, dict(o.data)) for o in later.outputs] == [("update", {"text/plain": "1"})]


def test_bounds_hold_and_say_what_they_left_out() -> None:
    """Endless output costs no more than a cell may."""
    cell = ran(code("x"), *[out("y" * 100_000) for _ in range(40)])
    assert len(cell.stdout) < MOST_TEXT + 100
    assert f"… {4_000_000 - MOST_TEXT} characters left out …" in cell.stdout
    shown = message("display_data", data={"text/plain": "1"})
    many = ran(code("x"), *[shown] * (MOST_OUTPUTS + 3))
    assert len(many.outputs) == MOST_OUTPUTS
    assert many.notes == ("3 more outputs were left out",)


def test_what_a_kernel_left_open_is_lost_and_said_to_be() -> None:
    """A kernel that dies in a cell leaves that cell, with what it put out."""
    watcher = Watcher()
    for each in (busy(), code("import os; os.abort()"), out("so far")):
        assert watcher.take(each) is None
    (lost,) = watcher.end()
    assert (lost.outcome, lost.stdout) == ("lost", "so far")
    told = watcher.take(message("shutdown_reply", of="shutdown_request", restart=True))
    assert told == Break(AT, restart=True)


def test_requests_that_run_nothing_are_no_cells() -> None:
    """Completion, inspection and silent execution leave no record."""
    watcher = Watcher()
    for each in (
        message("status", of="complete_request", execution_state="busy"),
        message("status", of="complete_request", execution_state="idle"),
        busy(),
        idle(),
    ):
        assert watcher.take(each) is None


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=40), st.data())
def test_cells_that_overlap_do_not_mix(order: list[str], data: st.DataObject) -> None:
    """Each text comes to stand in the cell whose request caused it, in order, once."""
    watcher, said = Watcher(), {"a": "", "b": "", "c": ""}
    for parent in said:
        watcher.take(busy(parent))
        watcher.take(code(parent, parent=parent))
    for number, parent in enumerate(order):
        said[parent] += f"{number};"
        watcher.take(out(f"{number};", parent=parent))
    for parent in data.draw(st.permutations(sorted(said))):
        cell = watcher.take(idle(parent))
        assert isinstance(cell, Cell)
        assert (cell.code, cell.stdout) == (parent, said[parent])


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)
_KINDS = ["status", "execute_input", "stream", "execute_result", "display_data", "error", "comm_msg",
          "update_display_data", "clear_output", "shutdown_reply", "anything"]  # fmt: skip
_NAMES = ["execution_state", "code", "name", "text", "data", "ename", "traceback", "transient",
          "execution_count", "wait", "restart"]  # fmt: skip


@given(
    st.lists(
        st.builds(
            Message,
            st.sampled_from(_KINDS),
            st.just(AT),
            st.sampled_from(["1", "2"]),
            st.just("execute_request"),
            st.dictionaries(st.sampled_from(_NAMES), _VALUES | st.sampled_from(["busy", "idle"])),
        )
    )
)
def test_no_message_confuses_it(messages: list[Message]) -> None:
    """A kernel may say anything; every cell that comes of it can be told."""
    watcher = Watcher()
    found = [watcher.take(each) for each in messages]
    for cell in (*found, *watcher.end()):
        if isinstance(cell, Cell):
            action_of(cell)
            parts_of(cell)
            error_of(cell)
            facts_of(cell, [])
