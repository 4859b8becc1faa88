"""Finds the file of a checkpoint by its name: a local file, an address, a file of the Hugging Face hub, or a row of
weights.json. What is not on this machine is downloaded once, verified, and only then gets its name in the cache.
"""

import contextlib
import errno
import functools
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple
from urllib.error import HTTPError
from urllib.parse import unquote, urlparse
from urllib.request import Request, build_opener

import torch
from filelock import FileLock  # torch needs it too
from mmengine.logging import print_log

from ..atomic_write import UNFINISHED, atomic_write
from ..errors import CheckpointError, InputError, OutputError
from .weights_table import find_row, nearest_row, split_hub_source

__all__ = ['Normalization', 'Weights', 'fetch', 'say_once', 'sha256', 'unreachable']

_SECONDS = 30  # without a byte, after which a transfer counts as broken
_SECONDS_TO_ANSWER = 5
_ATTEMPTS = 5  # of a transfer that breaks
_PIECE = 1 << 20
_CACHE_HINT = 'set TORCH_HOME (or HF_HOME, for the hub) to a folder with space that you may write to'
_FULL_OR_FORBIDDEN = (errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.ENOTDIR, errno.EPERM, errno.EROFS)


class Normalization(NamedTuple):
    """How the images were normalized that a backbone was trained on: (x - mean) / std, of RGB in 0..1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Weights(NamedTuple):
    """A checkpoint on this machine."""

    path: Path
    normalization: Normalization | None  # where it is known


class _FetchError(CheckpointError):
    """One source does not give the file; another may."""


class _BrokenTransferError(Exception):
    """A transfer stopped before its end."""


@functools.cache
def say_once(message: str) -> None:
    """Log a message, but not again in this process; only the main process of a distributed run shows it."""
    print_log(message, logger='current')


def fetch(name: str) -> Weights:
    """Find a checkpoint, and download it where it is not on this machine.

    Args:
        name (str): ``timm://MODEL.TAG``, ``hf://OWNER/REPO/FILE[@REVISION]``, ``https://...[#sha256=HEX]`` (8 digits or
            more), ``mmcentermask://NAME`` for a row of weights.json, or the path of a local file. Where the table
            knows several sources of a file, the next is tried when one fails.

    Returns:
        Weights: The file, in the hub's own cache (``HF_HOME``) or in torch's (``TORCH_HOME``) if it was downloaded.

    Raises:
        InputError: If there is no such name.
        CheckpointError: If no source gives the whole, right file.
        OutputError: If the cache cannot be written.

    >>> fetch('timm://ese_vovnet39b.ra_in1k').normalization.mean  # doctest: +SKIP
    (0.485, 0.456, 0.406)
    """
    scheme, separator, _ = name.partition('://')
    if not separator:
        return _with_normalization(Path(os.path.expanduser(name)), {})
    entry = find_row(name)
    failures = []
    for source in entry['sources']:
        try:
            path = (_from_hub if source.startswith('hf://') else _from_web)(source)
            break
        except _FetchError as error:
            failures.append(str(error) if entry['sources'] == [name] else f'{source}: {error}')
    else:
        near = nearest_row(name) if scheme == 'timm' and 'licence' not in entry else ''
        raise CheckpointError(
            f'the checkpoint {name} cannot be fetched ({"; ".join(failures)}){near}: look at the network, or give '
            'another address or a local file, or train from scratch as configs/centermask/*_scratch_coco.py do.'
        )
    if 'NC' in entry.get('licence', ''):
        say_once(f'The weights {entry["name"]} are under {entry["licence"]}: not for commercial use.')
    return _with_normalization(path, entry)


def _with_normalization(path: Path, entry: dict[str, Any]) -> Weights:
    """Read timm's config.json, which lies beside the weights in a hub repository, else take the table's."""
    config = path.parent / 'config.json'
    if os.path.isfile(config):  # Path's own fails at names that are too long
        with contextlib.suppress(KeyError, OSError, TypeError, ValueError):  # of something else
            entry = json.loads(config.read_bytes())['pretrained_cfg']
    try:
        mean, std = (tuple(float(value) for value in entry[key]) for key in ('mean', 'std'))
    except (KeyError, TypeError, ValueError):
        return Weights(path, None)
    usable = len(mean) == len(std) == 3 and min(std) > 0
    return Weights(path, Normalization(mean, std) if usable else None)


def unreachable(name: str) -> str:
    """Say, without a download, what is wrong with each source of a checkpoint; '' if one has it, or a cache."""
    reasons = []
    for source in find_row(name)['sources']:
        address = source.partition('#')[0]
        try:
            if source.startswith('hf://'):
                repository, file, revision = split_hub_source(source)
                hub = _hub_client()
                if not isinstance(hub.try_to_load_from_cache(repository, file, revision=revision), str):
                    url = hub.hf_hub_url(repository, file, revision=revision)
                    hub.get_hf_file_metadata(url, timeout=_SECONDS_TO_ANSWER)
            elif not _place_in_cache(address).is_file():
                build_opener().open(Request(address, method='HEAD'), timeout=_SECONDS_TO_ANSWER).close()
            return ''
        except Exception as error:  # the hub's client has many, and lets through those of what it is made of
            reasons.append(f'{address}: {(str(error) or type(error).__name__).splitlines()[0]}')
    return '; '.join(reasons)


def _hub_client() -> ModuleType:
    try:
        import huggingface_hub.errors
    except ImportError as error:
        raise _FetchError(
            "it needs the package huggingface_hub: pip install 'mmcentermask[hub]', or huggingface_hub safetensors"
        ) from error
    return huggingface_hub


def _from_hub(source: str) -> Path:
    """Fetch ``hf://OWNER/REPO/FILE[@REVISION]`` by the hub's own client, which downloads, resumes, locks and caches."""
    repository, file, revision = split_hub_source(source)
    hub = _hub_client()
    try:
        path = Path(hub.hf_hub_download(repository, file, revision=revision))
        if PurePosixPath(file).name in ('model.safetensors', 'pytorch_model.bin'):
            with contextlib.suppress(hub.errors.EntryNotFoundError):
                hub.hf_hub_download(repository, str(PurePosixPath(file).with_name('config.json')), revision=revision)
    except Exception as error:  # its classes, and those of the client below it, change between versions
        if isinstance(error, OSError) and error.errno in _FULL_OR_FORBIDDEN:
            raise OutputError(f'{source} cannot be kept ({error.strerror}): {_CACHE_HINT}.') from error
        lines = [line.strip().rstrip('.') for line in str(error).splitlines() if line.strip()]
        raise _FetchError(': '.join([type(error).__name__, *lines[:2][-1:]])) from error
    blob = path.resolve()
    # a large file is kept under its SHA-256, which the client itself does not compare
    if re.fullmatch(r'[0-9a-f]{64}', blob.name) and sha256(blob) != blob.name:
        blob.unlink()
        raise _FetchError(f'its SHA-256 is not {blob.name[:12]}...: the transfer changed it')
    return path


def _from_web(source: str) -> Path:
    """Fetch ``http(s)://...[#sha256=HEX]`` into torch's cache; one process downloads, others wait for it."""
    address, _, fragment = source.partition('#')
    digest = fragment.removeprefix('sha256=').lower()
    if fragment and not (fragment.startswith('sha256=') and re.fullmatch(r'[0-9a-f]{8,64}', digest)):
        raise InputError(f'{source} does not end with a checksum: write #sha256= and 8 to 64 hexadecimal digits.')
    path = _place_in_cache(address)
    if _is_right(path, digest):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f'{path}.lock'):
            if not _is_right(path, digest):  # another process may have fetched it meanwhile
                for left in path.parent.iterdir():  # of one that was killed
                    if left.name.startswith(f'{path.name}.') and left.name.endswith(UNFINISHED):
                        left.unlink()
                with atomic_write(path, _CACHE_HINT) as file:
                    found = _download(address, file)
                    if not found.startswith(digest):
                        raise _FetchError(f'its SHA-256 begins with {found[:12]}, not with {digest[:12]}')
    except OSError as error:
        if isinstance(error, InputError):
            raise
        raise OutputError(f'{path} cannot be written ({error.strerror or error}): {_CACHE_HINT}.') from error
    return path


def _place_in_cache(address: str) -> Path:
    """Return the place in torch's cache: torch's own where a hash makes the name unique, else a folder an address."""
    name = PurePosixPath(unquote(urlparse(address).path)).name
    if not name or '\0' in name or '\\' in name or len(name) > 200:
        raise InputError(f'{address} names no file: give the address of a checkpoint.')
    folder = Path(torch.hub.get_dir(), 'checkpoints')
    if not re.search(r'-[0-9a-f]{8,}\.', name):
        folder /= hashlib.sha256(address.encode()).hexdigest()[:16]
    return folder / name


def _is_right(path: Path, digest: str) -> bool:
    return path.is_file() and (not digest or sha256(path).startswith(digest))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits, reading it piece by piece."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _download(address: str, file: BinaryIO) -> str:
    """Write what an address serves, going on where a transfer breaks, and return its SHA-256."""
    digest, version = hashlib.sha256(), None
    for attempt in range(_ATTEMPTS):
        time.sleep(max(attempt - 1, 0))
        try:
            # without a version the rest could be of another file
            start = file.tell() if version else 0
            with _open(address, start, version) as reply:
                if start == 0 or reply.status != 206:
                    if file.tell():
                        file.seek(0)
                        file.truncate()
                    start, digest = 0, hashlib.sha256()
                elif not reply.headers.get('Content-Range', '').startswith(f'bytes {start}-'):
                    raise _FetchError('it answers with another part of the file than asked for')
                version = reply.headers.get('ETag', 'W/')
                version = reply.headers.get('Last-Modified') if version.startswith('W/') else version
                if reply.length is None and not reply.chunked:
                    raise _FetchError('it does not say how long the file is')
                total = None if reply.chunked else start + reply.length
                with torch.hub.tqdm(total=total, initial=start, unit='B', unit_scale=True, disable=None) as progress:
                    for piece in _pieces(reply):
                        if file.tell() == 0 and piece.lstrip().startswith(b'<'):
                            raise _FetchError('it answers with a web page (of a proxy or a login?), not with a file')
                        file.write(piece)
                        digest.update(piece)
                        progress.update(len(piece))
                if total is not None and file.tell() < total:
                    raise _BrokenTransferError(f'the transfer ended at {file.tell()} of {total} bytes')
                return digest.hexdigest()
        except _BrokenTransferError as error:
            broken = error
    raise _FetchError(f'{broken}, in {_ATTEMPTS} attempts')


def _open(address: str, start: int, version: str | None) -> HTTPResponse:
    headers = {'User-Agent': 'mmcentermask'}  # some servers refuse Python's own
    if start:
        headers |= {'Range': f'bytes={start}-', 'If-Range': version}
    try:
        return build_opener().open(Request(address, headers=headers), timeout=_SECONDS)  # of the environment of now
    except HTTPError as error:
        message = f'HTTP Error {error.code}: {error.reason}'
        if error.code == 429 or error.code >= 500:
            raise _BrokenTransferError(message) from error
        raise _FetchError(message) from error
    except (OSError, HTTPException, ValueError) as error:
        raise _FetchError(str(getattr(error, 'reason', error))) from error


def _pieces(reply: HTTPResponse) -> Iterator[bytes]:
    try:
        while piece := reply.read(_PIECE):
            yield piece
    except (OSError, HTTPException) as error:
        raise _BrokenTransferError(f'the transfer broke ({error or type(error).__name__})') from error
