"""The system calls that a decoder has no business with, and the seccomp filter that refuses them.

A decoder reads what it was handed, computes and answers over its pipes. Whatever else a decoder that was taken over
would want first (a socket, another program, another process, a file it may change, the kernel's odder corners) ends
with EPERM here, without root and inside containers, where namespaces are often refused. Calls are refused by name and
not allowed by name, since Python, FFmpeg and the C library need other ones with every release; what is newer than the
list gets ENOSYS, as on an older kernel.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Sequence

# <linux/seccomp.h>, <linux/prctl.h>, <linux/filter.h>
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_TSYNC = 1  # all threads of the process
_RET_KILL, _RET_ERRNO, _RET_ALLOW = 0x8000_0000, 0x0005_0000, 0x7FFF_0000
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
# struct seccomp_data: number, architecture, instruction pointer, six arguments of 64 bits (the low half comes first)
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

_CLONE_THREAD = 0x0001_0000
_PR_SET_PDEATHSIG = 1
#: Commands of fcntl and ioctl by which the kernel sends signals to others: F_SETOWN, F_SETSIG, F_SETOWN_EX; FIOSETOWN,
#: SIOCSPGRP.
_FCNTL_SIGNALS, _IOCTL_SIGNALS = (8, 10, 15), (0x8901, 0x8902)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

#: Number on x86-64, number on 64-bit ARM (0: there is none), of what is refused whatever its arguments.
_REFUSED = {
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "accept": (43, 202),
    "accept4": (288, 242),
    "bind": (49, 200),
    "listen": (50, 201),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    "fork": (57, 0),
    "vfork": (58, 0),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "setpriority": (141, 140),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122),
    "ioprio_set": (251, 30),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "setns": (308, 268),
    "unshare": (272, 97),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "mount_setattr": (442, 442),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262),
    "inotify_init": (253, 0),
    "inotify_init1": (294, 26),
    "personality": (135, 92),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "semget": (64, 190),
    "semop": (65, 193),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "unlink": (87, 0),
    "unlinkat": (263, 35),
    "rename": (82, 0),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "mkdir": (83, 0),
    "mkdirat": (258, 34),
    "rmdir": (84, 0),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "fallocate": (285, 47),
    "creat": (85, 0),
    "link": (86, 0),
    "linkat": (265, 37),
    "symlink": (88, 0),
    "symlinkat": (266, 36),
    "mknod": (133, 0),
    "mknodat": (259, 33),
    "chmod": (90, 0),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "chown": (92, 0),
    "fchown": (93, 55),
    "lchown": (94, 0),
    "fchownat": (260, 54),
    "utime": (132, 0),
    "utimes": (235, 0),
    "utimensat": (280, 88),
    "futimesat": (261, 0),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setreuid": (113, 145),
    "setregid": (114, 143),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "setgroups": (116, 159),
    "capset": (126, 91),
    "clock_settime": (227, 112),
    "settimeofday": (164, 170),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "syslog": (103, 116),
    "ioperm": (173, 0),
    "iopl": (172, 0),
    "modify_ldt": (154, 0),
    "vhangup": (153, 58),
}
#: Their arguments lie in memory, where a filter cannot look; callers fall back to the older call.
_UNKNOWN = {"clone3": (435, 435), "openat2": (437, 437)}
#: The first number that this list knows nothing of, on both architectures.
_NEWER = 451


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    """One instruction, struct sock_filter: ``yes`` and ``no`` are how many instructions are skipped."""
    return struct.pack("=HBBI", code, yes, no, value & 0xFFFF_FFFF)


def _refuse(number: int) -> bytes:
    return _step(_RETURN, _RET_ERRNO | number)


def _only(number: int, argument: int, test: int, value: int, *, refused: bool) -> bytes:
    """Refuse a call by the low half of an argument: where the test holds if ``refused``, else where it does not."""
    verdicts = [_refuse(errno.EPERM), _step(_RETURN, _RET_ALLOW)]
    steps = [_step(_LOAD, _ARGUMENTS + 8 * argument), _step(test, value, 0, 1)]
    steps += verdicts if refused else verdicts[::-1]
    return _step(_JUMP_EQUAL, number, 0, len(steps)) + b"".join(steps)


def _but_for(number: int, argument: int, values: Sequence[int]) -> bytes:
    """Refuse a call if the low half of an argument is one of these."""
    steps = [_step(_LOAD, _ARGUMENTS + 8 * argument)]
    for value in values:
        steps += [_step(_JUMP_EQUAL, value, 0, 1), _refuse(errno.EPERM)]
    steps.append(_step(_RETURN, _RET_ALLOW))
    return _step(_JUMP_EQUAL, number, 0, len(steps)) + b"".join(steps)


def program(*, arm: bool, pid: int) -> bytes:
    """The filter for a process with this id, as an array of struct sock_filter."""
    column = 1 if arm else 0
    clone, tgkill, prctl, prlimit = ((56, 220), (234, 131), (157, 167), (302, 261))
    opened = {257: 2, 2: 1} if not arm else {56: 2}  # openat and, on x86 only, open: which argument holds the flags
    steps = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_JUMP_EQUAL, 0xC000_00B7 if arm else 0xC000_003E, 1, 0),
        _step(_RETURN, _RET_KILL),
        _step(_LOAD, _NUMBER),
        # The x32 calls of x86-64, whose numbers begin at 2^30, are refused along with the newer ones.
        _step(_JUMP_AT_LEAST, _NEWER, 0, 1),
        _refuse(errno.ENOSYS),
    ]
    for numbers in _UNKNOWN.values():
        steps += [_step(_JUMP_EQUAL, numbers[column], 0, 1), _refuse(errno.ENOSYS)]
    for number in filter(None, (numbers[column] for numbers in _REFUSED.values())):
        steps += [_step(_JUMP_EQUAL, number, 0, 1), _refuse(errno.EPERM)]
    steps.append(_only(clone[column], 0, _JUMP_ANY_BIT, _CLONE_THREAD, refused=False))  # threads, no processes
    steps.append(_only(tgkill[column], 0, _JUMP_EQUAL, pid, refused=False))  # abort() signals itself
    steps.append(_only(prctl[column], 0, _JUMP_EQUAL, _PR_SET_PDEATHSIG, refused=True))
    steps.append(_only(prlimit[column], 0, _JUMP_EQUAL, 0, refused=False))
    fcntl, ioctl = (72, 25), (16, 29)
    steps.append(_but_for(fcntl[column], 1, _FCNTL_SIGNALS))
    steps.append(_but_for(ioctl[column], 1, _IOCTL_SIGNALS))
    steps += [_only(number, at, _JUMP_ANY_BIT, _WRITING, refused=True) for number, at in opened.items()]
    steps.append(_step(_RETURN, _RET_ALLOW))
    return b"".join(steps)


def refuse_system_calls() -> str:
    """Install the filter for all threads of this process, for good; needs ``gain_nothing`` before.

    Returns a sentence for the report, which begins with "unfiltered" where it cannot be done.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in ("x86_64", "aarch64") or sys.maxsize < 2**32:
        return f"unfiltered: no list for {sys.platform} on {machine}"
    code = program(arm=machine == "aarch64", pid=os.getpid())
    buffer = ctypes.create_string_buffer(code, len(code))

    class _Program(ctypes.Structure):  # struct sock_fprog
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    described = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    number = 277 if machine == "aarch64" else 317  # seccomp, for which the C library has no function
    done = libc.syscall(number, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC, ctypes.byref(described))
    if done:
        return f"unfiltered: {os.strerror(ctypes.get_errno()) if done < 0 else 'another thread has a filter'}"
    return "filtered"
