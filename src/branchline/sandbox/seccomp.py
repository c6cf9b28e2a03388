"""Build the system-call filters of the sandbox.

Two filters are loaded; the kernel takes the stricter answer of both (seccomp(2), "most
restrictive"). The *allow list* names every call that programs for data analysis need and answers
"no such call" to all others, so that libraries fall back. The *floor* refuses, by name, calls and
arguments that would lead out even if the allow list were too generous one day.
"""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from branchline.foundation.digest import digest_of, short
from branchline.foundation.disk import is_full
from branchline.foundation.durable import write_durably

_ALLOWED = """
accept accept4 access alarm arch_prctl bind brk capget chdir chmod chown clock_getres
clock_gettime clock_nanosleep clone close close_range connect copy_file_range creat dup dup2 dup3
epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve
execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2
fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork fstat fstatfs fsync ftruncate
futex futex_waitv get_mempolicy get_robust_list getcpu getcwd getdents getdents64 getegid
geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority
getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid
gettimeofday getuid getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl
kill lchown lgetxattr link linkat listen listxattr llistxattr lseek lstat madvise membarrier
memfd_create mincore mkdir mkdirat mlock mlock2 mmap mprotect mremap msync munlock munmap
nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 poll ppoll
prctl pread64 preadv preadv2 prlimit64 pselect6 pwrite64 pwritev pwritev2 read readahead readlink
readlinkat readv recvfrom recvmmsg recvmsg rename renameat renameat2 restart_syscall rmdir rseq
rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
rt_sigtimedwait sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
sched_getparam sched_getscheduler sched_setaffinity sched_yield select semctl semget semop
semtimedop sendfile sendmmsg sendmsg sendto set_robust_list set_tid_address setitimer setpgid
setpriority setrlimit setsid setsockopt shmat shmctl shmdt shmget shutdown sigaltstack signalfd
signalfd4 splice stat statfs statx symlink symlinkat sync_file_range sysinfo tee tgkill time
timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create
timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat utime utimensat
utimes vfork wait4 waitid write writev
"""
"""Not in it, besides the floor: swap and quota calls, modules, clocks, host names, raw I/O,
message queues, NUMA moves, fanotify, Landlock and seccomp themselves, and whatever is new."""

_REFUSED = """
acct add_key bpf chroot delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick
init_module io_uring_enter io_uring_register io_uring_setup kcmp kexec_file_load kexec_load keyctl
mknod mknodat mount mount_setattr move_mount name_to_handle_at open_by_handle_at open_tree
perf_event_open personality pidfd_getfd pivot_root process_madvise process_vm_readv
process_vm_writev ptrace quotactl reboot request_key setdomainname sethostname setns swapoff
swapon syslog umount2 unshare userfaultfd vhangup
"""

_RULES = 1
"""The number of the rules that the functions below add to the lists; raised when one is changed."""
_DIGEST_BYTES, _LENGTH_BYTES = 32, 4

_LOW_32_BITS = 0xFFFFFFFF
_NAMESPACES = 0x7E020000
"""CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}; clone cannot ask for CLONE_NEWTIME."""
_TERMINAL_INJECTION = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX. The kernel looks at the low 32 bits only, so the rule must as well."""
_SCHED_OTHER = 0
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16


@cache
def filters(*, network: bool = False) -> tuple[bytes, ...]:
    """Return the filters' BPF programs for this machine, built once per process.

    Args:
        network: whether sockets of the Internet's families may be made, too; never for a train.
    """
    families = (_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK) if network else (_AF_UNIX,)
    return _export(_allow_list(families)), _export(_floor())


def kept_filters(folder: Path, *, network: bool = False) -> tuple[bytes, ...]:
    """Return the filters as ``filters`` does, kept in a folder from one process to the next.

    They are kept by all that decides them: this machine's kind, libseccomp's version, and what the
    rules above say. A file that was damaged is made anew. For a person's own commands: whoever can
    write there can do without the filters.
    """
    said = (os.uname().machine, _library(), _ALLOWED, _REFUSED, _RULES, network)
    file = folder / f"{sha256(repr(said).encode()).hexdigest()}.bpf"
    try:
        kept = file.read_bytes()
    except FileNotFoundError:
        kept = b""
    body = kept[_DIGEST_BYTES:]
    if not body or sha256(body).digest() != kept[:_DIGEST_BYTES]:
        first, second = filters(network=network)
        body = len(first).to_bytes(_LENGTH_BYTES, "big") + first + second
        try:
            folder.mkdir(exist_ok=True)
            write_durably(file, sha256(body).digest() + body)
        except OSError as error:
            if not is_full(error):  # else they are made anew next time
                raise
    end = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES], "big")
    return body[_LENGTH_BYTES:end], body[end:]


def _library() -> tuple[int, ...]:
    """Return libseccomp's version, without all that comes with loading it to build filters."""
    version = ctypes.CDLL("libseccomp.so.2").seccomp_version
    version.restype = ctypes.POINTER(ctypes.c_uint * 3)
    return tuple(version().contents)


def description() -> str:
    """Name the filters by their digest, for the record of a run."""
    return f"allow list and floor {short(digest_of(b''.join(filters())))}"


def _allow_list(families: tuple[int, ...]) -> Any:
    import pyseccomp as sc

    chosen = sc.SyscallFilter(sc.ERRNO(errno.ENOSYS))
    # Calls numbered for another ABI (x32, 32 bits) end the process, not only one thread of it.
    chosen.set_attr(sc.Attr.ACT_BADARCH, sc.KILL_PROCESS)
    for name in _known(_ALLOWED):
        chosen.add_rule(sc.ALLOW, name)
    for name in ("socket", "socketpair"):
        # Families such as AF_VSOCK and AF_ALG are not, or not wholly, in the network namespace.
        for family in families:
            chosen.add_rule(sc.ALLOW, name, sc.Arg(0, sc.EQ, family))
    # What every thread has anyway; libzmq sets it, and ends the process where it cannot.
    chosen.add_rule(sc.ALLOW, "sched_setscheduler", sc.Arg(1, sc.EQ, _SCHED_OTHER))
    for name in _known(_REFUSED):
        chosen.add_rule(sc.ERRNO(errno.EPERM), name)
    return chosen


def _floor() -> Any:
    import pyseccomp as sc

    floor = sc.SyscallFilter(sc.ALLOW)
    for name in _known(_REFUSED):
        floor.add_rule(sc.ERRNO(errno.EPERM), name)
    for flag in (1 << bit for bit in range(32) if _NAMESPACES >> bit & 1):
        rule = sc.Arg(0, sc.MASKED_EQ, flag, flag)
        floor.add_rule(sc.ERRNO(errno.EPERM), "clone", rule)
    floor.add_rule(sc.ERRNO(errno.ENOSYS), "clone3")  # its flags are in memory; libc uses clone
    for request in _TERMINAL_INJECTION:
        rule = sc.Arg(1, sc.MASKED_EQ, _LOW_32_BITS, request)
        floor.add_rule(sc.ERRNO(errno.EPERM), "ioctl", rule)
    return floor


def _known(names: str) -> list[str]:
    """Return the names this architecture has; arm64, say, has no `open`."""
    import pyseccomp as sc

    native = sc.system_arch()
    return [name for name in names.split() if sc.resolve_syscall(native, name) >= 0]


def _export(chosen: Any) -> bytes:
    descriptor = os.memfd_create("filter")
    with open(descriptor, "rb") as file:
        chosen.export_bpf(file)
        file.seek(0)
        return file.read()
