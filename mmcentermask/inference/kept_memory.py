"""Lets the process keep the memory of its tensors on CPU from one image to the next."""

import ctypes
import sys

__all__ = ['keep_memory']

# parameters of glibc's mallopt, from its malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4


def keep_memory(keep: bool = True) -> bool:
    """Keep the memory of tensors that are no longer used for the next ones, or hand it back to the system.

    The system clears every page that it hands out. A layer's output of hundreds of MB, handed back after each image,
    is cleared at each image: up to a third of the time of a network on CPU, and another time at each run. Kept, it is
    cleared once; the process then stays as large as its largest moment was. This holds for the whole process.

    Args:
        keep (bool): False goes back to what the system's C library does by itself once it has seen large tensors, and
            hands back what was kept. Defaults to True.

    Returns:
        bool: Whether this could be done. It is for glibc, which most Linux systems have; elsewhere nothing happens.
    """
    libc = ctypes.CDLL(None) if sys.platform.startswith('linux') else None
    if not hasattr(libc, 'mallopt') or not hasattr(libc, 'gnu_get_libc_version'):
        return False
    if keep:
        settings = {_MMAP_MAX: 0, _TRIM_THRESHOLD: -1}
    else:
        # its own limits move up to these with the size of what is freed
        settings = {_MMAP_MAX: 65536, _MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20}
    done = [libc.mallopt(name, value) == 1 for name, value in settings.items()]
    if not keep:
        libc.malloc_trim(0)
    return all(done)
