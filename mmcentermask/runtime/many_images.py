"""Prediction on any number of images, written in parts, so that a run that was killed goes on where it was."""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..atomic_write import atomic_write
from ..errors import InputError, MissingFileError, OutputError
from ..image_inputs import images_of_folder
from ..structures import Instances
from .segmenter import Segmenter

_SETTINGS = 'settings.json'
_HINT = 'choose another folder with --out, or make room and run it again, which goes on from here'


def find_images(inputs: Iterable[str], image_dir: str | None = None, recursive: bool = True) -> Iterator[str]:
    """Yield the paths of image files one by one, without a list of them all.

    Args:
        inputs (iterable of str): Files, folders, patterns, lists (``.txt``, a path a line) and COCO's annotation files
            (``.json``).
        image_dir (str, optional): What paths of lists and annotation files are relative to. Defaults to their folder.
        recursive (bool): Look into the folders in folders, too. Defaults to True.

    Raises:
        MissingFileError: If an input is not there.
        InputError: If a folder has no image, or a file is no list.

    >>> list(find_images(['tests/data']))  # doctest: +SKIP
    """
    for item in inputs:
        path = Path(item)
        if path.is_dir():
            yield from images_of_folder(path, recursive)
        elif path.suffix.lower() in ('.txt', '.json') and path.is_file():
            names = _of_annotations(path) if path.suffix.lower() == '.json' else _of_list(path)
            folder = Path(image_dir) if image_dir is not None else path.parent
            yield from (str(folder / name) for name in names)
        elif path.exists():
            yield str(path)
        else:
            found = sorted(glob.glob(item, recursive=True)) if glob.has_magic(item) else []
            if not found:
                raise MissingFileError(f'there is no file, folder or pattern {item!r} with images: correct the path.')
            yield from found


def _of_list(path: Path) -> Iterator[str]:
    with open(path, encoding='utf-8-sig', errors='surrogateescape') as file:
        for line in file:
            if line.strip():
                yield line.strip('\r\n')


def _of_annotations(path: Path) -> Iterator[str]:
    try:
        content = json.loads(path.read_text(encoding='utf-8-sig'))
        yield from [image['file_name'] for image in content['images']]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no annotation file in COCO's format: give one that has images.") from error


def predict_rows(segmenter: Segmenter, images: Iterable[str], **options: Any) -> Iterator[dict[str, Any]]:
    """Predict; yield of each image what ``Instances.to_dict`` gives, or its ``file_name`` and ``error``.

    Options and their errors are those of ``Segmenter.stream``.
    """
    for image, found in segmenter.stream(images, **options):
        failed = not isinstance(found, Instances)
        yield dict(file_name=image, error=str(found)) if failed else {**found.to_dict(), 'file_name': image}


def write_rows(
    predict: Callable[[Iterator[str]], Iterator[dict[str, Any]]],
    images: Iterable[str],
    folder: str | Path,
    settings: dict[str, Any],
    file_format: str = 'jsonl',
    part_size: int = 500,
    progress: bool = False,
) -> dict[str, int]:
    """Predict, and write ``part-00000.jsonl``, ...: one image a row.

    A part gets its name once it is whole. Images that a part of the folder holds are left out, so a run that was
    stopped goes on; one that failed is not tried again.

    Args:
        predict (callable): Makes rows of images, as ``predict_rows`` does.
        images (iterable of str): Paths; one that comes twice is predicted once.
        folder (str or Path): Made where it is not there.
        settings (dict): What the results depend on, for JSON; a folder holds those of one run.
        file_format (str): ``'jsonl'`` or ``'parquet'``, which needs pyarrow. Defaults to ``'jsonl'``.
        part_size (int): Images of a part. Defaults to 500.
        progress (bool): Show a progress bar. Defaults to False.

    Returns:
        dict: Numbers of ``images``, ``objects``, ``failed`` and ``done_before``.

    Raises:
        InputError: If the folder holds results of other settings, or pyarrow is missing.
        OutputError: If a part cannot be written; those before it are whole.
    """
    folder = Path(folder)
    suffix, encode, decode = _format(file_format)
    settings = {**settings, 'format': file_format}
    _check_settings(folder, settings)
    parts = sorted(folder.glob(f'part-*{suffix}'))
    done = {row['file_name'] for part in parts for row in decode(part)}
    number = int(parts[-1].stem.split('-')[1]) + 1 if parts else 0
    counts = dict(images=0, objects=0, failed=0, done_before=len(done))
    rows: list[dict[str, Any]] = []

    def remaining() -> Iterator[str]:
        for image in images:
            if image not in done:
                done.add(image)
                yield image

    def write() -> None:
        nonlocal number
        if rows:
            if not (folder / _SETTINGS).exists():  # not before there is a result that they are of
                with atomic_write(folder / _SETTINGS, _HINT) as file:
                    file.write(json.dumps(settings, indent=1).encode())
            with atomic_write(folder / f'part-{number:05}{suffix}', _HINT) as file:
                file.write(encode(rows))
            number += 1
            rows.clear()

    results = predict(remaining())
    if progress:
        from tqdm import tqdm

        results = tqdm(results, unit='image')
    try:
        for row in results:
            rows.append(row)
            counts['images'] += 1
            counts['failed'] += 'error' in row
            counts['objects'] += len(row.get('labels', ()))
            if len(rows) == part_size:
                write()
    except (KeyboardInterrupt, InputError) as error:
        if not isinstance(error, OutputError):
            write()
        raise
    write()
    return counts


def _check_settings(folder: Path, settings: dict[str, Any]) -> None:
    path = folder / _SETTINGS
    if path.is_file():
        old = json.loads(path.read_text(encoding='utf-8'))
        changed = [key for key in settings if old.get(key) != settings[key]]
        if changed:
            told = ', '.join(f'{key} {old.get(key)!r} and not {settings[key]!r}' for key in changed)
            raise InputError(f'{folder} holds results of another run ({told}): choose another folder with --out.')


def _format(name: str) -> tuple[str, Callable[[list[dict]], bytes], Callable[[Path], Iterable[dict]]]:
    """Return the ending of a format's files, and the functions that encode rows and decode a file."""
    if name == 'jsonl':
        return (
            '.jsonl',
            lambda rows: b''.join(json.dumps(row).encode() + b'\n' for row in rows),
            lambda path: map(json.loads, path.read_text(encoding='utf-8').splitlines()),
        )
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError(
            "--format parquet needs the package pyarrow, which is not installed: pip install 'mmcentermask[parquet]'."
        ) from error
    rle = pa.struct([('size', pa.list_(pa.int32(), 2)), ('counts', pa.string())])
    schema = pa.schema(
        [
            *[('file_name', pa.string()), ('height', pa.int32()), ('width', pa.int32())],
            ('bboxes', pa.list_(pa.list_(pa.float32(), 4))),
            *[('labels', pa.list_(pa.int32())), ('class_names', pa.list_(pa.string()))],
            *[(scores, pa.list_(pa.float32())) for scores in ('scores', 'mask_scores')],
            *[('masks', pa.list_(rle)), ('error', pa.string())],
        ]
    )

    def encode(rows: list[dict[str, Any]]) -> bytes:
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, schema), sink)
        return sink.getvalue().to_pybytes()

    return '.parquet', encode, lambda path: pq.read_table(path, columns=['file_name']).to_pylist()
