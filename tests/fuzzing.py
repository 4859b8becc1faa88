"""What the fuzzing targets share: a reproducible run, hostile names and values, and a look at the files around."""

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


class Target(NamedTuple):
    """Something to fuzz."""

    name: str
    inputs: st.SearchStrategy
    check: Callable[[Any, Path], None]  # is given an input and a folder of its own; raises where something is wrong
    quick: int  # inputs in every run of the tests
    many: int  # inputs in the slow run


def run(target: Target, number: int, folder: Path) -> int:
    """Try ``number`` inputs, the same each time with the same code; return how many were tried to their end."""
    tried = 0

    @settings(
        max_examples=number, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(target.inputs)
    def attempt(given_input):
        nonlocal tried
        target.check(given_input, folder)
        tried += 1

    attempt()
    return tried


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return every file below a folder with its bytes, and every folder with None."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob('*'))
    }


# '@' stands for a folder that nothing may be written to, where an absolute path is wanted
NAMES = (
    '../x', '../../x.pth', '..', '.', '/', '', '@/x', '@', 'a/../../x', 'x/', '//x', '~', '~nobody/x', '-rf', 'con',
    'a\0b', '\0', 'x' * 255, 'x' * 256, 'y' * 5000, 'a/' * 3000, '\ud800', '\udcff.png', 'a\nb', '\x1b[2J', '\u202egnp',
    '%s%n', '{0}', '$(touch x)', '`touch x`', '=1+1', 'ä' * 200, '\U0001f600.jpg', '*', 'a b', '\\..\\x', 'file:///x',
    'http://127.0.0.1:9/x', 's3://x/y', '/dev/zero', '/dev/null',
)  # fmt: skip
names = st.sampled_from(NAMES) | st.text(max_size=12)
NUMBERS = (
    0, 1, -1, 2, 3, 0.5, 1e-30, 5e-324, 59.5, 60, 61, 1e9, -1e9, 2**31, 2**32 - 1, 2**32, -(2**31), 2**62, 2**63,
    -(2**63), 10**40, 1e30, 1e308, float('nan'), float('inf'), float('-inf'), -0.0, True, False,
)  # fmt: skip
numbers = st.sampled_from(NUMBERS) | st.integers(-70, 70) | st.floats(-70, 70, width=32)
short_text = st.text(string.printable, max_size=8)


def mutated(content: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """Change bytes: each change is a place, how many bytes to drop there, and what to put in."""
    for place, dropped, put in changes:
        place %= len(content) + 1
        content = content[:place] + put + content[place + dropped :]
    return content


byte_changes = st.lists(
    st.tuples(
        st.integers(0, 10**6),
        st.sampled_from([0, 1, 1, 1, 2, 4, 8, 50, 10**6]),
        st.binary(max_size=4) | st.sampled_from([b'\0' * 8, b'\xff' * 8, b'}', b'[' * 2000, b'PK\x03\x04']),
    ),
    min_size=1,
    max_size=4,
)
