"""Runs the commands of the set-up: says what is happening, keeps a log, and shows that a long step still lives."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HEARTBEAT = 20.0  # seconds between two signs of life


class StepFailed(Exception):
    """A step of the set-up went wrong; the message is the sentence to show."""


def say(text: str) -> None:
    """Print one line at once, even into a pipe."""
    print(f'[env] {text}', flush=True)


def clock(seconds: float) -> str:
    """Write a duration as '4.2 s' or '2 min 05 s'."""
    return f'{seconds:.1f} s' if seconds < 60 else f'{int(seconds) // 60} min {int(seconds) % 60:02d} s'


def output_of(command: list, timeout: float = 300.0) -> str | None:
    """Return what ``command`` prints, or None when it fails, is missing or takes longer than ``timeout`` seconds."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=timeout,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def run_step(what: str, takes: str, command: list, logs: Path, mend: str, env: dict | None = None) -> None:
    """Run one command of the set-up with its output in a log file.

    Args:
        what: What the step does, for the reader ('Installing torch').
        takes: How long it usually takes, in words.
        command: The command and its arguments.
        logs: Folder of the log file.
        mend: What the reader can do when it fails, as a sentence.
        env: Environment variables on top of the present ones.

    Raises:
        StepFailed: If the command does not end with exit code 0.
    """
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / (re.sub(r'[^a-z0-9]+', '-', what.lower()).strip('-')[:60] + '.log')
    say(f'{what} ... (usually {takes})')
    started = time.monotonic()
    with open(log, 'w', encoding='utf-8') as file:
        # A session of its own, so that an interrupt can end the compilers below it too.
        try:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        except OSError as error:
            raise StepFailed(f'The step "{what}" could not start: {error}. {mend}') from error
        try:
            _wait(process, what, log, started)
        except BaseException:
            _end(process)
            raise
    if process.returncode != 0:
        tail = log.read_text(encoding='utf-8', errors='replace').splitlines()[-12:]
        print('\n'.join(f'      {line[:300]}' for line in tail), file=sys.stderr)
        raise StepFailed(f'The step "{what}" failed (log: {log}). {mend}')
    say(f'    done in {clock(time.monotonic() - started)}')


def _wait(process: subprocess.Popen, what: str, log: Path, started: float) -> None:
    """Wait for the end of ``process`` and print a sign of life now and then, with ninja's count where there is one."""
    while True:
        try:
            process.wait(timeout=HEARTBEAT)
            return
        except subprocess.TimeoutExpired:
            counts = re.findall(r'\[(\d+/\d+)\]', _tail(log))
            files = f', {counts[-1]} files' if counts else ''
            say(f'    still at it: {what} ({clock(time.monotonic() - started)}{files})')


def _tail(log: Path) -> str:
    """Return the last part of ``log``."""
    with open(log, 'rb') as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 20000))
        return file.read().decode('utf-8', errors='replace')


def _end(process: subprocess.Popen) -> None:
    """End ``process`` and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=10)
    except (OSError, AttributeError, subprocess.TimeoutExpired):
        process.kill()
