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
from collections.abc import Iterator
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

__all__ = ['Frame', 'FrameReader', 'open_writer']

_AHEAD = 4  # frames that wait to be predicted
_RATE = Fraction(25)  # frames a second, of a source that does not say
_TICK = Fraction(1, 90000)  # seconds, in which a frame's time is given


class Frame(NamedTuple):
    """A frame.

    Attributes:
        pixels: uint8 (H, W, 3), BGR.
        seconds: Since the first frame; None where the source does not say.
    """

    pixels: np.ndarray
    seconds: float | None


class FrameReader:
    """Reads frames in a thread, a few ahead.

    Args:
        source (str): A file, a stream's address, or the number of a camera.
        most (int, optional): Frames to read at most.
        realtime (bool): Read as fast as a player, and leave out frames that nobody waits for.

    Attributes:
        rate: Frames a second, a Fraction.
        sound: The file whose sound belongs to the frames, None where there is none.
        dropped: Number of frames that were left out.

    Raises:
        MissingFileError: If there is no such file.
        InputError: If it cannot be opened.
    """

    def __init__(self, source: str, most: int | None, realtime: bool) -> None:
        self.dropped, self._most, self._realtime = 0, most, realtime
        self._frames: queue.Queue = queue.Queue(1 if realtime else _AHEAD)
        self._ended = threading.Event()
        self._source = _Capture(source) if source.isdecimal() or av is None else _PyAVFile(source)
        self.rate, self.sound = self._source.rate, None if realtime else self._source.sound
        self._live = source.isdecimal()
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
            for number, frame in enumerate(self._source.frames()):
                if self._ended.is_set() or number == self._most:
                    break
                if self._realtime and frame.seconds is not None and not self._live:
                    time.sleep(max(0.0, frame.seconds - (time.perf_counter() - began)))  # as a player does
                self._put(frame)
        except Exception as error:  # for the thread that predicts
            last = error
        self._put(last, must=True)

    def _put(self, item: Any, must: bool = False) -> None:
        while not self._ended.is_set():
            try:
                return self._frames.put(item, timeout=0.1)
            except queue.Full:
                if self._realtime and not must:
                    with contextlib.suppress(queue.Empty):
                        self._frames.get_nowait()
                        self.dropped += 1
        return None


class _Capture:
    """A camera or, where there is no PyAV, a video file, by OpenCV."""

    sound = None

    def __init__(self, source: str) -> None:
        is_camera = source.isdecimal()
        if not is_camera and '://' not in source and not Path(source).is_file():
            raise MissingFileError(f'there is no video {source}: correct the path.')
        # silent, for in the place of its warnings is the sentence below; OpenCV 5 has moved it
        (cv2.setLogLevel if hasattr(cv2, 'setLogLevel') else cv2.utils.logging.setLogLevel)(0)
        self._capture = cv2.VideoCapture(int(source) if is_camera else source)
        if not self._capture.isOpened():
            what = f'the camera {source}' if is_camera else f'the video {source}'
            how = 'see that it is connected and no other program uses it' if is_camera else 'give a complete video'
            raise ImageError(f'{what} cannot be opened: {how}.')
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = Fraction(rate).limit_denominator(1000) if 1 <= rate <= 240 else _RATE
        self._live = is_camera

    def frames(self) -> Iterator[Frame]:
        began = time.perf_counter()
        for number in itertools.count():
            there, pixels = self._capture.read()
            if not there:
                return
            yield Frame(pixels, time.perf_counter() - began if self._live else float(number / self.rate))

    def close(self) -> None:
        self._capture.release()


class _PyAVFile:
    """A video file or stream, by PyAV."""

    def __init__(self, source: str) -> None:
        self._name = source
        if '://' not in source and not Path(source).is_file():
            raise MissingFileError(f'there is no video {source}: correct the path.')
        try:
            self._container = av.open(source)
            self._video = self._container.streams.video[0]
        except (av.FFmpegError, IndexError) as error:
            reason = getattr(error, 'strerror', error)
            raise ImageError(f'the video {source} cannot be opened ({reason}): give a complete video.') from error
        self._video.thread_type = 'AUTO'
        self.rate = self._video.average_rate or self._video.guessed_rate or _RATE
        self.sound = source if self._container.streams.audio and '://' not in source else None

    def frames(self) -> Iterator[Frame]:
        first = None
        try:
            for frame in self._container.decode(self._video):
                pixels = frame.to_ndarray(format='bgr24')
                if frame.rotation:  # of a phone that was held upright
                    pixels = np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
                first = frame.time if first is None else first
                yield Frame(pixels, None if frame.time is None else frame.time - (first or 0.0))
        except av.FFmpegError as error:
            print(f'warning: {self._name} is damaged ({error}): its frames end here.', file=sys.stderr, flush=True)

    def close(self) -> None:
        self._container.close()


def open_writer(path: str | Path, first: np.ndarray, reader: FrameReader) -> _PyAVWriter | _OpenCVWriter:
    """Open an MP4 file, a context manager whose ``write(pixels, seconds)`` adds a frame; it gets its name at the end.

    Args:
        path (str or Path): The file.
        first (np.ndarray): The first frame, which says how large all are.
        reader (FrameReader): Whose rate and sound it gets.

    Raises:
        OutputError: If it cannot be written.
    """
    return (_OpenCVWriter if av is None else _PyAVWriter)(path, first, reader)


class _OpenCVWriter:
    def __init__(self, path: str | Path, first: np.ndarray, reader: FrameReader) -> None:
        self._path, self._size, self._rate = Path(path), first.shape[1::-1], float(reader.rate)

    def __enter__(self) -> _OpenCVWriter:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(dir=self._path.parent)
        self._unfinished = os.path.join(self._folder.name, self._path.name)
        code = cv2.VideoWriter_fourcc(*'mp4v')
        self._video = cv2.VideoWriter(self._unfinished, code, self._rate, self._size)
        if not self._video.isOpened():
            self._folder.cleanup()
            raise OutputError(f'{self._path} cannot be written by this OpenCV: pip install av.')
        return self

    def write(self, pixels: np.ndarray, seconds: float | None) -> None:
        """Add a frame."""
        self._video.write(pixels if pixels.shape[1::-1] == self._size else cv2.resize(pixels, self._size))

    def __exit__(self, kind: Any, *args: Any) -> None:
        self._video.release()
        if kind is None:
            os.replace(self._unfinished, self._path)
        self._folder.cleanup()


class _PyAVWriter:
    """Writes an MP4 file, which gets its name at the end, with the sound of the source."""

    def __init__(self, path: str | Path, first: np.ndarray, reader: FrameReader) -> None:
        self._path, self._size, self._reader = Path(path), first.shape[1::-1], reader

    def __enter__(self) -> _PyAVWriter:
        self._stack = contextlib.ExitStack()
        file = self._stack.enter_context(atomic_write(self._path, 'choose another folder'))
        try:
            self._container = av.open(file, 'w', format='mp4')
            name = next(name for name in ('libx264', 'h264', 'mpeg4') if name in av.codecs_available)
            self._video = self._container.add_stream(name, rate=self._reader.rate)
        except (av.FFmpegError, StopIteration) as error:
            self._stack.__exit__(*sys.exc_info())
            raise OutputError(f'{self._path} cannot be written ({error}): pip install another PyAV.') from error
        width, height = self._size
        self._video.width, self._video.height = width + width % 2, height + height % 2  # as its colors need
        self._video.pix_fmt, self._video.codec_context.time_base = 'yuv420p', _TICK
        self._sound = self._open_sound()
        self._last, self._next = -1, 0
        return self

    def _open_sound(self) -> Any:
        if self._reader.sound is None:
            return None
        source = av.open(self._reader.sound)
        stream = source.streams.audio[0]
        try:
            return source, source.demux(stream), self._container.add_stream_from_template(stream)
        except (av.FFmpegError, ValueError):  # a kind of sound that MP4 cannot hold
            source.close()
            return None

    def write(self, pixels: np.ndarray, seconds: float | None) -> None:
        """Add a frame."""
        if pixels.shape[1::-1] != self._size:
            pixels = cv2.resize(pixels, self._size)  # a stream may change its size
        height, width = pixels.shape[:2]
        pixels = cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        frame = av.VideoFrame.from_ndarray(pixels, format='bgr24')
        step = round(1 / (_TICK * self._reader.rate))
        time_stamp = self._next if seconds is None else round(seconds / _TICK)
        frame.pts = max(time_stamp, self._last + 1)
        self._last, self._next = frame.pts, frame.pts + step
        frame.time_base = _TICK
        self._mux(self._video.encode(frame))
        self._copy_sound(self._last * _TICK)

    def _copy_sound(self, until: float) -> None:
        if self._sound is None:
            return
        _, packets, stream = self._sound
        for packet in packets:
            if packet.dts is None:
                continue
            packet.stream = stream
            self._mux([packet])
            if packet.pts * packet.time_base > until:
                return

    def _mux(self, packets: list) -> None:
        try:
            self._container.mux(packets)
        except OSError as error:
            raise OutputError(f'{self._path} cannot be written ({error}): choose another folder.') from error

    def __exit__(self, *args: Any) -> None:
        with contextlib.suppress(Exception) if args[0] else contextlib.nullcontext():
            if self._last >= 0:
                self._mux(self._video.encode())
            self._container.close()
        if self._sound is not None:
            self._sound[0].close()
        self._stack.__exit__(*args)
