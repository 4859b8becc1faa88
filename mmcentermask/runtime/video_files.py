"""Reads frames of videos, streams and cameras, and writes videos: by PyAV where it is installed, else by OpenCV."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..atomic_write import atomic_write
from ..errors import ImageError, MissingFileError, OutputError

try:
    import av
except ImportError:
    av = None

_AHEAD = 4  # frames that wait to be predicted
_RATE = Fraction(25)  # frames a second, of a source that does not say
_TICK = Fraction(1, 90000)  # seconds, in which a frame's time is given


class Frame(NamedTuple):
    """A frame of a video."""

    pixels: np.ndarray  # uint8 (H, W, 3), BGR
    seconds: float | None  # since the first frame; None where the source does not say


class FrameReader:
    """Reads frames in a thread, a few ahead; in ``realtime`` as fast as a player, without those that nobody waits for.

    Attributes:
        rate: Frames a second, a Fraction.
        sound: The file whose sound belongs to the frames, None where there is none.
        dropped: Number of frames that were left out.

    Raises:
        MissingFileError: If there is no such file.
        InputError: If it cannot be opened.
    """

    def __init__(self, source: str, most: int | None, realtime: bool) -> None:
        if not source.isdecimal() and '://' not in source and not Path(source).is_file():
            raise MissingFileError(f'there is no video {source}: correct the path.')
        self.dropped, self._most, self._realtime = 0, most, realtime
        self._frames: queue.Queue = queue.Queue(1 if realtime else _AHEAD)
        self._ended = threading.Event()
        self._live = source.isdecimal()
        self.rate, sound, self._source = (_read_by_opencv if self._live or av is None else _read_by_pyav)(source)
        self.sound = None if realtime else sound
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> FrameReader:
        self._thread.start()
        return self

    def __exit__(self, *args: Any) -> None:
        self._ended.set()
        self._thread.join()
        self._source.close()

    def get(self) -> Frame | None:
        """Return the next frame, None after the last."""
        frame = self._frames.get()
        if isinstance(frame, Exception):
            raise frame
        return frame

    def _run(self) -> None:
        last: Frame | Exception | None = None
        try:
            began = time.perf_counter()
            for number, frame in enumerate(self._source):
                if self._ended.is_set() or number == self._most:
                    break
                if self._realtime and frame.seconds is not None and not self._live:
                    time.sleep(max(0.0, frame.seconds - (time.perf_counter() - began)))  # as a player does
                self._put(frame)
        except Exception as error:  # for the thread that predicts
            last = error
        self._put(last, must=True)

    def _put(self, item: Frame | Exception | None, must: bool = False) -> None:
        while not self._ended.is_set():
            try:
                self._frames.put(item, timeout=0.1)
                return
            except queue.Full:
                if self._realtime and not must:
                    with contextlib.suppress(queue.Empty):
                        self._frames.get_nowait()
                        self.dropped += 1


def _read_by_opencv(source: str) -> tuple[Fraction, str | None, Iterator[Frame]]:
    """Open a camera or, where there is no PyAV, a video file: its rate, the file of its sound, and its frames."""
    is_camera = source.isdecimal()
    # silent, for in the place of its warnings is the sentence below; OpenCV 5 has moved it
    (cv2.setLogLevel if hasattr(cv2, 'setLogLevel') else cv2.utils.logging.setLogLevel)(0)
    capture = cv2.VideoCapture(int(source) if is_camera else source)
    if not capture.isOpened():
        what = f'the camera {source}' if is_camera else f'the video {source}'
        how = 'see that it is connected and no other program uses it' if is_camera else 'give a complete video'
        raise ImageError(f'{what} cannot be opened: {how}.')
    told = capture.get(cv2.CAP_PROP_FPS)
    rate = Fraction(told).limit_denominator(1000) if 1 <= told <= 240 else _RATE

    def frames() -> Iterator[Frame]:
        began = time.perf_counter()
        try:
            for number in itertools.count():
                there, pixels = capture.read()
                if not there:
                    break
                yield Frame(pixels, time.perf_counter() - began if is_camera else float(number / rate))
        finally:
            capture.release()

    return rate, None, frames()


def _read_by_pyav(source: str) -> tuple[Fraction, str | None, Iterator[Frame]]:
    """Open a video file or stream, see ``_read_by_opencv``."""
    try:
        container = av.open(source)
        video = container.streams.video[0]
    except (av.FFmpegError, IndexError) as error:
        reason = getattr(error, 'strerror', error)
        raise ImageError(f'the video {source} cannot be opened ({reason}): give a complete video.') from error
    video.thread_type = 'AUTO'

    def frames() -> Iterator[Frame]:
        first = None
        try:
            for frame in container.decode(video):
                pixels = frame.to_ndarray(format='bgr24')
                if frame.rotation:  # of a phone that was held upright
                    pixels = np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
                first = frame.time if first is None else first
                yield Frame(pixels, None if frame.time is None else frame.time - (first or 0.0))
        except av.FFmpegError as error:
            print(f'warning: {source} is damaged ({error}): its frames end here.', file=sys.stderr, flush=True)
        finally:
            container.close()

    sound = source if container.streams.audio and '://' not in source else None
    return video.average_rate or video.guessed_rate or _RATE, sound, frames()


Write = Callable[[np.ndarray, float | None], None]


def open_writer(path: str | Path, first: np.ndarray, reader: FrameReader) -> contextlib.AbstractContextManager[Write]:
    """Open an MP4 file of the size of the first frame, with rate and sound of the reader; it gets its name at the end.

    The context gives a function that adds a frame, of its pixels and its seconds since the first one, or None.

    Raises:
        OutputError: If it cannot be written.
    """
    return (_write_by_opencv if av is None else _write_by_pyav)(Path(path), first.shape[1::-1], reader)


def _fitted(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bring a frame to the size of the first one, which a stream may change."""
    return pixels if pixels.shape[1::-1] == size else cv2.resize(pixels, size)


@contextlib.contextmanager
def _write_by_opencv(path: Path, size: tuple[int, int], reader: FrameReader) -> Iterator[Write]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        unfinished = os.path.join(folder, path.name)
        video = cv2.VideoWriter(unfinished, cv2.VideoWriter_fourcc(*'mp4v'), float(reader.rate), size)
        if not video.isOpened():
            raise OutputError(f'{path} cannot be written by this OpenCV: pip install av.')
        try:
            yield lambda pixels, seconds: video.write(_fitted(pixels, size))
        finally:
            video.release()
        os.replace(unfinished, path)


@contextlib.contextmanager
def _write_by_pyav(path: Path, size: tuple[int, int], reader: FrameReader) -> Iterator[Write]:
    step, last = round(1 / (_TICK * reader.rate)), -1

    def mux(packets: list) -> None:
        try:
            container.mux(packets)
        except OSError as error:
            raise OutputError(f'{path} cannot be written ({error}): choose another folder.') from error

    def write(pixels: np.ndarray, seconds: float | None) -> None:
        nonlocal last
        width, height = size
        pixels = cv2.copyMakeBorder(_fitted(pixels, size), 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        frame = av.VideoFrame.from_ndarray(pixels, format='bgr24')
        time_stamp = (last + step if last >= 0 else 0) if seconds is None else round(seconds / _TICK)
        last = frame.pts = max(time_stamp, last + 1)
        frame.time_base = _TICK
        mux(video.encode(frame))
        for packet in sound:
            mux([packet])
            if packet.pts * packet.time_base > last * _TICK:
                break

    with atomic_write(path, 'choose another folder') as file:
        try:
            container = av.open(file, 'w', format='mp4')
            name = next(name for name in ('libx264', 'h264', 'mpeg4') if name in av.codecs_available)
            video = container.add_stream(name, rate=reader.rate)
        except (av.FFmpegError, StopIteration) as error:
            raise OutputError(f'{path} cannot be written ({error}): pip install another PyAV.') from error
        video.width, video.height = (side + side % 2 for side in size)  # as its colors need
        video.pix_fmt, video.codec_context.time_base = 'yuv420p', _TICK
        with contextlib.ExitStack() as stack:
            sound = _sound_for(container, reader.sound, stack)
            try:
                yield write
            except BaseException:
                with contextlib.suppress(Exception):
                    container.close()
                raise
            if last >= 0:
                mux(video.encode())
            container.close()


def _sound_for(container: Any, path: str | None, stack: contextlib.ExitStack) -> Iterator[Any]:
    """Return the packets of the sound of a file, none where it has no sound or one that MP4 cannot hold."""
    if path is None:
        return iter(())
    source = stack.enter_context(av.open(path))
    stream = source.streams.audio[0]
    try:
        copy = container.add_stream_from_template(stream)
    except (av.FFmpegError, ValueError):
        return iter(())

    def packets() -> Iterator[Any]:
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                yield packet

    return packets()
