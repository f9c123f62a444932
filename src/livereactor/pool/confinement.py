"""Confinement of a process before it loads a model: folders that it cannot see, and processes that it cannot look into.

On Linux, in this order, before the process has threads, each of which would have to be confined by itself:

- A mount namespace covers each hidden folder by an empty one. Where a user may not make one, Landlock denies them.
- Landlock forbids to undo that, to trace or signal processes outside, to reach their abstract sockets, and to make
  devices.
- A filter of system calls forbids to set other processes' limits, which would end them or make them dump their memory,
  and their priorities, which would starve them.
- No privileges are gained by programs that it starts. Root loses those that reach around mounts.
- It leaves a hidden folder that it was started in, and writes no core file, which others of its user could read.

Landlock knows only what is allowed. Where it hides a folder, it allows all that lies beside it and beside the folders
that it is in, and what is made there later cannot be opened. A mount namespace is preferred: it has no such price. All
else, such as GPUs, weights and temporary files, stays as it is.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import runpy
import site
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

CONFINED: Final = "LIVEREACTOR_WORKER_CONFINED"  # variable with the folders to hide, by `os.pathsep`; absent = none

LATE_USER_SITE: Final = "livereactor-user-site"  # -X: import from the user's site-packages, but only once confined

_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_RDONLY, _NOSUID, _NODEV, _REC, _SLAVE = 1, 2, 4, 0x4000, 1 << 19
_SET_NO_NEW_PRIVS, _CAPBSET_DROP, _SET_DUMPABLE, _SET_SECCOMP = 38, 24, 4, 22
# CAP_: DAC_READ_SEARCH, SYS_MODULE, SYS_RAWIO, SYS_PTRACE, SYS_ADMIN, MKNOD, PERFMON, BPF
_REACHING_AROUND: Final = (2, 16, 17, 19, 21, 27, 38, 39)
_CAPABILITY_VERSION: Final = 0x20080522
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_PATH_BENEATH: Final = 1
_WRITE_FILE, _READ_FILE, _READ_DIR, _MAKE_BLOCK, _REFER, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 11, 1 << 13, 1 << 14
_REMOVE_AND_MAKE: Final = sum(1 << bit for bit in range(4, 13))  # REMOVE_DIR to MAKE_SYM
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNAL = 1 << 0, 1 << 1
_FILTER_MODE: Final = 2
_LOAD, _EQUAL, _JUMP, _RETURN = 0x20, 0x15, 0x05, 0x06  # BPF: load a word, jump if it equals, jump, return
_ALLOW, _DENY = 0x7FFF0000, 0x00050000 | 1  # with EPERM
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_FIRST, _SECOND, _THIRD = 16, 24, 32  # of arguments, the lower half of each
_PRIO_PROCESS, _IOPRIO_PROCESS = 0, 1
_MOST_NUMBERS: Final = 500  # in a filter, which has at most 4096 instructions for three architectures

# BPF instructions: code, how many are skipped where it holds and where not, operand.
_Steps = Sequence[tuple[int, int, int, int]]


class _Calls(NamedTuple):
    """Numbers of the system calls that name another process, of one architecture."""

    architecture: int  # AUDIT_ARCH_
    prlimit64: int
    setpriority: int
    ioprio_set: int
    sched_setparam: int
    sched_setscheduler: int
    sched_setattr: int
    sched_setaffinity: int


_X86_64: Final = _Calls(0xC000003E, 302, 141, 251, 142, 144, 314, 203)
# By machine, also for its programs of 32 bits and for x32.
_CALLS: Final = {
    "x86_64": (
        _X86_64,
        _Calls(_X86_64.architecture, *(0x40000000 | each for each in _X86_64[1:])),
        _Calls(0x40000003, 340, 97, 289, 154, 156, 351, 241),
    ),
    "aarch64": (
        _Calls(0xC00000B7, 261, 140, 30, 118, 119, 274, 122),
        _Calls(0x40000028, 369, 97, 314, 154, 156, 380, 241),
    ),
}


class Confinement(Enum):
    """The way in which this process is confined."""

    MOUNTS = "mount namespace and landlock"
    LANDLOCK = "landlock"
    MOUNTS_ALONE = "mount namespace"  # which may be undone by what the process starts
    NONE = "none"


def confine(hidden: Sequence[Path], *, mounts: bool = True) -> Confinement:
    """Confine this process and all that it starts, as far as the system can; only while it has a single thread.

    Args:
        hidden: folders that it must not read or write; those that are not there are passed over.
        mounts: make a mount namespace where that is allowed.
    """
    if not sys.platform.startswith("linux"):
        return Confinement.NONE
    folders = _outermost([each.resolve() for each in hidden if each.is_dir()])
    is_covered = mounts and bool(folders) and _cover(folders)
    _leave(folders)
    with suppress(OSError):
        _call("prctl", _SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _leave_others_as_they_are()
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        _restrict([] if is_covered else folders)
        is_restricted = True
    except OSError:
        is_restricted = False
    _drop_capabilities()
    if is_covered:
        return Confinement.MOUNTS if is_restricted else Confinement.MOUNTS_ALONE
    return Confinement.LANDLOCK if is_restricted else Confinement.NONE


@cache
def confine_as_told() -> Confinement | None:
    """Confine this process as its environment says, once; None = it says nothing."""
    told = os.environ.pop(CONFINED, None)
    found = None if told is None else confine([Path(each) for each in told.split(os.pathsep) if each])
    if LATE_USER_SITE in sys._xoptions:  # pyright: ignore[reportPrivateUsage]
        # A model's libraries may be there. Its .pth files run confined.
        site.addsitedir(site.getusersitepackages())
    return found


def is_in_user_site(path: Path) -> bool:
    """Return whether Python finds this file in the user's site-packages."""
    return path.is_relative_to(site.getusersitepackages())


def plantable(package: Path) -> list[str]:
    """Return folders that programs of this service import from, confined or not, and that this user may change.

    Args:
        package: where our own modules are.
    """
    folders = dict.fromkeys(Path(each) for each in (*sys.path, str(package)) if each)
    # A folder that is not there can be made where the one that it would be in can be changed.
    return [str(each) for each in folders if os.access(each if each.exists() else each.parent, os.W_OK)]


def hide_memory() -> None:
    """Keep other processes of the same user from reading this one's memory and environment, where the system can."""
    if sys.platform.startswith("linux"):
        with suppress(OSError):
            _call("prctl", _SET_DUMPABLE, 0, 0, 0, 0)


def _call(name: str, *arguments: object) -> int:
    """Call a function of libc; raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    done = int(getattr(libc, name)(*given))
    if done < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return done


def _outermost(folders: Sequence[Path]) -> Sequence[Path]:
    """Return these without those in another: what lies beside one of them is otherwise not hidden."""
    return [each for each in dict.fromkeys(folders) if not any(other in each.parents for other in folders)]


def _cover(folders: Sequence[Path]) -> bool:
    """Cover folders by empty ones; False where this user may not."""
    try:
        _own_mounts()
        _call("mount", None, b"/", None, _REC | _SLAVE, None)  # what the machine mounts later still arrives
        for each in folders:
            options = _RDONLY | _NOSUID | _NODEV
            _call("mount", b"none", os.fsencode(each), b"tmpfs", options, b"size=4k,mode=000")
    except OSError:
        return False
    return True


def _own_mounts() -> None:
    try:
        _call("unshare", _NEWNS)
    except PermissionError:  # a user namespace of its own allows it, where the system allows that
        user, group = os.getuid(), os.getgid()
        _call("unshare", _NEWUSER | _NEWNS)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _leave(hidden: Sequence[Path]) -> None:
    """Leave a hidden folder: relative paths would still lead to what lies under its cover."""
    try:
        is_inside = any(Path.cwd().is_relative_to(each) for each in hidden)
    except OSError:  # it was deleted
        is_inside = True
    if is_inside:
        os.chdir("/")


def _leave_others_as_they_are() -> None:
    """Forbid to set limits, priorities and scheduling of other processes; raises OSError where that cannot be.

    A filter sees the numbers in a call, and not whose they are. A process may name itself, as 0 or by its number. Its
    threads have numbers of their own, which are not known yet, and libraries pin them to processors by these. So
    affinity is refused for the process that started this one and that process's threads of now, by their numbers.
    Exact would be a namespace of processes, which needs another process that waits for this one, or a process beside
    each model that the kernel asks. Neither is worth it: a model may take all processors anyway.
    """
    own, started_by = os.getpid(), os.getppid()
    elders = [started_by] if started_by else []  # 0 = outside this container, and to a system call oneself
    with suppress(OSError):
        elders += [int(each.name) for each in Path(f"/proc/{started_by}/task").iterdir()]
    program = b"".join(
        _packed(_of_architecture(calls, own, elders[:_MOST_NUMBERS])) for calls in _CALLS.get(platform.machine(), ())
    )
    program += _packed([(_RETURN, 0, 0, _ALLOW)])
    kept = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are.
    _call("prctl", _SET_SECCOMP, _FILTER_MODE, struct.pack("@HP", len(program) // 8, ctypes.addressof(kept)), 0, 0)


def _packed(steps: _Steps) -> bytes:
    return b"".join(struct.pack("=HBBI", *each) for each in steps)


def _of_architecture(calls: _Calls, own: int, elders: Sequence[int]) -> _Steps:
    scheduling = (calls.sched_setparam, calls.sched_setscheduler, calls.sched_setattr)
    verdicts: dict[int, _Steps] = {
        calls.prlimit64: _limits(own),
        calls.setpriority: _priority(_PRIO_PROCESS, own),
        calls.ioprio_set: _priority(_IOPRIO_PROCESS, own),
        **dict.fromkeys(scheduling, _scheduling(own)),
        calls.sched_setaffinity: _affinity(elders),
    }
    steps = [
        step
        for number, verdict in verdicts.items()
        for step in ((_LOAD, 0, 0, _NUMBER), *_only_if(number, verdict))
    ]  # fmt: skip
    return [(_LOAD, 0, 0, _ARCHITECTURE), *_only_if(calls.architecture, steps)]


def _only_if(value: int, steps: _Steps) -> _Steps:
    """Return these steps behind a condition; they may be more than a conditional jump can skip."""
    return [(_EQUAL, 1, 0, value), (_JUMP, 0, 0, len(steps)), *steps]


def _limits(own: int) -> _Steps:
    """Allow to set one's own, and to read those of others."""
    return [
        (_LOAD, 0, 0, _FIRST),
        (_EQUAL, 6, 0, 0),
        (_EQUAL, 5, 0, own),
        (_LOAD, 0, 0, _THIRD),  # where the new limit is
        (_EQUAL, 0, 2, 0),
        (_LOAD, 0, 0, _THIRD + 4),
        (_EQUAL, 1, 0, 0),  # a null pointer: it reads
        (_RETURN, 0, 0, _DENY),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _priority(process: int, own: int) -> _Steps:
    """Allow to set one's own; a group or a user has others in it."""
    return [
        (_LOAD, 0, 0, _FIRST),
        (_EQUAL, 0, 3, process),
        (_LOAD, 0, 0, _SECOND),
        (_EQUAL, 2, 0, 0),
        (_EQUAL, 1, 0, own),
        (_RETURN, 0, 0, _DENY),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _scheduling(own: int) -> _Steps:
    return [
        (_LOAD, 0, 0, _FIRST),
        (_EQUAL, 2, 0, 0),
        (_EQUAL, 1, 0, own),
        (_RETURN, 0, 0, _DENY),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _affinity(elders: Sequence[int]) -> _Steps:
    refused = [step for each in elders for step in ((_EQUAL, 0, 1, each), (_RETURN, 0, 0, _DENY))]
    return [(_LOAD, 0, 0, _FIRST), *refused, (_RETURN, 0, 0, _ALLOW)]


def _restrict(folders: Sequence[Path]) -> None:
    """Enter a Landlock domain that denies these folders; raises OSError where the kernel has no Landlock."""
    version = _call("syscall", _CREATE_RULESET, None, 0, 1)
    files = _READ_FILE | _WRITE_FILE | (_TRUNCATE if version >= 3 else 0)
    everything = files | _READ_DIR | _REMOVE_AND_MAKE | (_REFER if version >= 2 else 0)
    # A domain has to handle something. No model makes disks, and a root that could would read ours.
    handled = everything if folders else _MAKE_BLOCK
    # struct landlock_ruleset_attr: handled_access_fs, handled_access_net, scoped; older kernels know a shorter one.
    attributes = struct.pack("=QQQ", handled, 0, _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNAL if version >= 6 else 0)
    size = 24 if version >= 6 else 8
    ruleset = _call("syscall", _CREATE_RULESET, attributes, size, 0)
    try:
        for path, is_folder in _beside(folders):
            with suppress(OSError):  # it is gone, or nothing that can be opened
                _allow(ruleset, path, handled if is_folder else files)
        _call("syscall", _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _beside(folders: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield what lies beside these folders and beside the folders that they are in, and whether it is a folder."""
    above = {parent for each in folders for parent in each.parents}
    for parent in above:
        with suppress(OSError):
            for entry in os.scandir(parent):
                path = Path(entry.path)
                # A link is no place of its own: where it leads is allowed, or not, by itself.
                if path not in above and path not in folders and not entry.is_symlink():
                    yield path, entry.is_dir(follow_symlinks=False)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        # struct landlock_path_beneath_attr, which is packed.
        _call("syscall", _ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, opened), 0)
    finally:
        os.close(opened)


def _drop_capabilities() -> None:
    """Give up, also for what is started, what reaches around mounts, devices and other processes' borders."""
    for each in _REACHING_AROUND:
        with suppress(OSError):
            _call("prctl", _CAPBSET_DROP, each, 0, 0, 0)
    with suppress(OSError):
        header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
        sets = ctypes.create_string_buffer(24)  # effective, permitted, inheritable of 32 capabilities each, twice
        _call("capget", header, sets)
        found = list(struct.unpack("=6I", sets.raw))
        for each in _REACHING_AROUND:
            for index in range(3):
                found[index + 3 * (each // 32)] &= ~(1 << each % 32)
        _call("capset", header, struct.pack("=6I", *found))


if __name__ == "__main__":  # of a module that is named: its own imports start threads, which would stay outside
    confine_as_told()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
