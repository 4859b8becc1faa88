"""The code blocks of README and docs, and the shell commands in them taken apart."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md'), *ROOT.glob('configs/*/README.md')], key=lambda path: str(path)
)
_FENCE = re.compile(r'^(`{3,})([^\n]*)\n(.*?)^\1$', re.M | re.S)


class Block(NamedTuple):
    """A code block: its page below ROOT, the line it begins in, its language (``''`` where indented), its text."""

    page: str
    line: int
    language: str
    text: str


def blocks(page):
    """The fenced and the indented code blocks of a page."""
    text, found = page.read_text(), []

    def add(start, language, code):
        found.append(Block(str(page.relative_to(ROOT)), text.count('\n', 0, start) + 1, language, code))

    for fence in _FENCE.finditer(text):
        add(fence.start(), fence[2].strip(), fence[3])
    rest = _FENCE.sub(lambda fence: re.sub(r'[^\n]', '', fence[0]), text)
    for code in re.finditer(r'(?:(?<=\n\n)|\A)((?:    [^\n]*\n|\n(?=    ))+)', rest):
        start = len(rest[: code.start()].splitlines())
        found.append(Block(str(page.relative_to(ROOT)), start + 1, '', re.sub(r'^    ', '', code[1], flags=re.M)))
    return found


def commands(block):
    """The commands of a shell block: the words of each, variables of the block put in, comments left out."""
    variables, found = {}, []
    lines = re.sub(r'\\\n\s*', ' ', block.text)
    lines = re.sub(r"'[^']*'", lambda quoted: quoted[0].replace('\n', ' '), lines)
    for line in lines.splitlines():
        line = re.sub(r'\$(?:\{(\w+)\}|(\w+))', lambda name: variables.get(name[1] or name[2], name[0]), line)
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r'\w+=.*', words[0]):
            name, _, value = words.pop(0).partition('=')
            variables[name] = value
        if words:
            found.append(words)
    return found
