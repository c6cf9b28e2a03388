"""Run a package's own programs inside an image being built: no network, nothing of the host.

The same for root and for an ordinary user: a user namespace with a single user, who is root inside.
Calls that would give a file to somebody else are answered "done" and do nothing, since in the image
everything belongs to root anyway; so no list of subordinate users and no daemon is needed, and the
result does not depend on who built it.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

from branchline.foundation.errors import Unavailable

HOSTNAME = "image"
_VARIABLES = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "TERM": "dumb",
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
    "PYTHONHASHSEED": "0",
}
_PRETENDED = """
chown fchown fchownat lchown setgroups chown32 fchown32 lchown32 setgroups32
fsync fdatasync sync syncfs sync_file_range msync
nanosleep clock_nanosleep
"""
"""Answered with success. The second line: a build that a crash ends is thrown away whole, so
nothing in it needs to reach the disk before it is complete. The third: scripts give a machine's
services a second to come up, and here there are none."""
_REFUSED = """
acct add_key bpf delete_module fanotify_init finit_module init_module io_uring_enter
io_uring_register io_uring_setup kexec_file_load kexec_load keyctl mknod mknodat mount mount_setattr
move_mount name_to_handle_at open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root
process_vm_readv process_vm_writev ptrace quotactl reboot request_key setns swapoff swapon syslog
umount2 unshare userfaultfd
"""
_CAPABILITIES = ("CAP_DAC_OVERRIDE", "CAP_FOWNER")
"""Over files of the one user: maintainer scripts expect that root may write to what is read-only."""


@dataclass(frozen=True)
class Confined:
    """What a program inside sees, beside /proc, /dev and an empty /tmp and /run.

    Args:
        root: The folder that is /.
        writable: Whether the root may be written to.
        binds: (host path, path inside, writable), bound in this order.
        variables: Set beside the fixed ones.
    """

    root: Path
    writable: bool = False
    binds: Sequence[tuple[Path, str, bool]] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


def start(
    confined: Confined,
    argv: Sequence[str],
    *,
    output: IO[bytes] | int,
    pass_fds: Sequence[int] = (),
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a program inside; it dies with this process.

    Args:
        confined: What it sees.
        argv: The program and its arguments, never a shell's line.
        output: Where standard output and error go.
        pass_fds: Descriptors it inherits.
        stdin: What it reads; nothing by default.

    Raises:
        Unavailable: There is no bubblewrap on this machine.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise Unavailable("bwrap was not found", advice="Install the Debian package bubblewrap")
    filter_fd = _filter_descriptor()
    try:
        return subprocess.Popen(
            [bwrap, *_walls(confined), "--seccomp", str(filter_fd), "--", *argv],
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(filter_fd, *pass_fds),
            env={},
            cwd="/",
            umask=0o022,  # modes of new files are part of the image
        )
    finally:
        os.close(filter_fd)


def run(confined: Confined, argv: Sequence[str], *, output: IO[bytes] | int) -> int:
    """Run a program inside to its end and return its exit code."""
    return start(confined, argv, output=output).wait()


def _walls(confined: Confined) -> list[str]:
    words = [
        *("--bind" if confined.writable else "--ro-bind", str(confined.root), "/"),
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/run"),
        *("--unshare-all", "--unshare-user", "--unshare-cgroup", "--die-with-parent"),
        *("--new-session", "--uid", "0", "--gid", "0", "--hostname", HOSTNAME),
        *("--cap-drop", "ALL", "--clearenv", "--chdir", "/"),
    ]
    for capability in _CAPABILITIES:
        words += ["--cap-add", capability]
    for host, inside, writable in confined.binds:
        words += ["--bind" if writable else "--ro-bind", str(host), inside]
    for name, value in {**_VARIABLES, **confined.variables}.items():
        words += ["--setenv", name, value]
    return words


def _filter_descriptor() -> int:
    descriptor = os.memfd_create("filter")
    os.write(descriptor, _filter())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


@cache
def _filter() -> bytes:
    import pyseccomp as sc

    native = sc.system_arch()
    chosen: Any = sc.SyscallFilter(sc.ALLOW)
    for names, code in ((_PRETENDED, 0), (_REFUSED, errno.EPERM)):
        for name in names.split():
            if sc.resolve_syscall(native, name) >= 0:
                chosen.add_rule(sc.ERRNO(code), name)
    descriptor = os.memfd_create("filter")
    with open(descriptor, "rb") as file:
        chosen.export_bpf(file)
        file.seek(0)
        return file.read()
