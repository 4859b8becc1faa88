"""Prediction on videos, streams and cameras: reading, the network and drawing overlap, a thread each."""

from __future__ import annotations

import contextlib
import json
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..atomic_write import atomic_write
from ..errors import ImageError, InputError, MissingFileError, OutputError
from ..structures import Instances
from .segmenter import Segmenter

__all__ = ['VideoSummary', 'is_video', 'predict_video']

_VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.ts', '.gif')
_AHEAD = 4  # frames that wait between two threads
_CAMERA_RATE = Fraction(30)  # frames a second, of a camera or stream that does not say
_TICK = Fraction(1, 90000)  # seconds, in which a frame's time is given


class VideoSummary(NamedTuple):
    """What was done with a video: frames, objects, frames that were left out, and frames a second."""

    frames: int
    objects: int
    dropped: int
    speed: float


class _Frame(NamedTuple):
    pixels: np.ndarray  # uint8 (H, W, 3), BGR
    seconds: float | None  # since the first frame


def is_video(source: str) -> bool:
    """Tell whether an input is a video file, a stream's address or the number of a camera."""
    return source.isdecimal() or '://' in source or Path(source).suffix.lower() in _VIDEOS


def predict_video(
    segmenter: Segmenter,
    source: str,
    video: str | Path | None,
    lines: str | Path | None,
    threshold: float = 0.3,
    classes: Iterable[str | int] | None = None,
    most: int | None = None,
    realtime: bool = False,
    track: bool = False,
    show: Callable[[np.ndarray, float], bool] | None = None,
) -> VideoSummary:
    """Find the objects of a video's frames, draw them into a copy of it, and write them as numbers.

    Ctrl-C ends it in order: what was done until then is whole. The sound of a file is copied as it is.

    Args:
        segmenter (Segmenter): Predicts.
        source (str): A file, a stream's address, or the number of a camera.
        video (str or Path, optional): MP4 file to draw to. Defaults to None, none.
        lines (str or Path, optional): File of JSON lines, one a frame: ``frame``, ``seconds``, ``track_ids`` and what
            ``Instances.to_dict`` returns. Defaults to None, none.
        threshold (float): Least score. Defaults to 0.3.
        classes (iterable, optional): Names or indices of the classes to keep. Defaults to all.
        most (int, optional): Frames to read at most. Defaults to all.
        realtime (bool): Leave frames out where the network is slower than the video. Defaults to False, no frame is.
        track (bool): Number objects over frames by ByteTrack of the package trackers. Defaults to False.
        show (Callable, optional): Gets each drawn frame and the frames a second; returns True to end. Defaults to None.

    Returns:
        VideoSummary: Of what was done.

    Raises:
        MissingFileError: If there is no such file.
        InputError: If it cannot be opened, has no frame, or a package is missing.
        OutputError: If a result cannot be written.

    >>> predict_video(Segmenter('model.onnx'), 'street.mp4', 'drawn.mp4', 'street.jsonl')  # doctest: +SKIP
    """
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(_Reader(source, most, realtime))
        tracker = _Tracker(threshold, float(reader.rate)) if track else None
        first = reader.get()
        if first is None:
            raise InputError(f'{source} has no frame that can be read: give a complete video.')
        drawn = None if video is None else stack.enter_context(_VideoWriter(video, first.pixels, reader))
        written = None if lines is None else stack.enter_context(atomic_write(lines, 'choose another folder'))
        began, frames, objects, ended = time.perf_counter(), 0, 0, threading.Event()

        def finish(frame: _Frame, found: Instances, ids: list[int] | None, number: int) -> None:
            if written is not None:
                row = {'frame': number, 'seconds': frame.seconds, **found.to_dict()}
                row.update({} if ids is None else {'track_ids': ids})
                written.write(json.dumps(row).encode() + b'\n')
            if drawn is not None or show is not None:
                names = None if ids is None else [f'{name} {i}' for name, i in zip(found.names, ids)]
                pixels = found.draw(frame.pixels, label_names=names)
                if drawn is not None:
                    drawn.write(pixels, frame.seconds)
                if show is not None and show(pixels, (number + 1) / (time.perf_counter() - began)):
                    ended.set()

        finisher = stack.enter_context(_Worker(finish, in_thread=show is None))  # windows want the main thread
        with contextlib.suppress(KeyboardInterrupt):
            for frame in _with_first(first, reader):
                found = segmenter.predict(frame.pixels, threshold, classes)
                finisher.put(frame, found, None if tracker is None else tracker.update(found), frames)
                frames, objects = frames + 1, objects + len(found)
                if ended.is_set():
                    break
    return VideoSummary(frames, objects, reader.dropped, frames / (time.perf_counter() - began))


def _with_first(first: _Frame, reader: _Reader) -> Iterator[_Frame]:
    frame = first
    while frame is not None:
        yield frame
        frame = reader.get()


class _Worker:
    """Calls a function in a thread, one call after the other, a few calls behind; its error is raised by the next."""

    def __init__(self, function: Callable[..., None], in_thread: bool) -> None:
        self._function, self._calls, self._error = function, queue.Queue(_AHEAD), None
        self._thread = threading.Thread(target=self._run, daemon=True) if in_thread else None

    def __enter__(self) -> _Worker:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, kind: Any, *args: Any) -> None:
        if self._thread is not None:
            self._calls.put(None)
            self._thread.join()
        if self._error is not None and kind is None:
            raise self._error

    def put(self, *args: Any) -> None:
        """Have the function called with these arguments."""
        if self._error is not None:
            raise self._error
        if self._thread is None:
            self._function(*args)
        else:
            self._calls.put(args)

    def _run(self) -> None:
        while (args := self._calls.get()) is not None:
            if self._error is None:
                try:
                    self._function(*args)
                except Exception as error:  # for the thread that predicts
                    self._error = error


class _Reader:
    """Reads frames in a thread, a few ahead."""

    def __init__(self, source: str, most: int | None, realtime: bool) -> None:
        self.dropped, self._most, self._realtime = 0, most, realtime
        self._frames: queue.Queue = queue.Queue(1 if realtime else _AHEAD)
        self._ended = threading.Event()
        self._source = _Camera(source) if source.isdecimal() else _File(source)
        self.rate, self.sound = self._source.rate, None if realtime else self._source.sound
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Reader:
        self._thread.start()
        return self

    def __exit__(self, *args: Any) -> None:
        self._ended.set()
        self._thread.join()
        self._source.close()

    def get(self) -> _Frame | None:
        """Return the next frame, None after the last."""
        frame = self._frames.get()
        if isinstance(frame, Exception):
            raise frame
        return frame

    def _run(self) -> None:
        last: _Frame | Exception | None = None
        try:
            began = time.perf_counter()
            for number, frame in enumerate(self._source.frames()):
                if self._ended.is_set() or number == self._most:
                    break
                if self._realtime and frame.seconds is not None and not isinstance(self._source, _Camera):
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


class _Camera:
    sound = None

    def __init__(self, source: str) -> None:
        # silent, for in the place of its warnings is the sentence below; OpenCV 5 has moved it
        (cv2.setLogLevel if hasattr(cv2, 'setLogLevel') else cv2.utils.logging.setLogLevel)(0)
        self._capture = cv2.VideoCapture(int(source))
        if not self._capture.isOpened():
            raise InputError(
                f'the camera {source} cannot be opened: see that it is connected and no other program uses it.'
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = Fraction(rate).limit_denominator(1000) if 1 <= rate <= 240 else _CAMERA_RATE

    def frames(self) -> Iterator[_Frame]:
        began = None
        while True:
            there, pixels = self._capture.read()
            if not there:
                return
            began = time.perf_counter() if began is None else began
            yield _Frame(pixels, time.perf_counter() - began)

    def close(self) -> None:
        self._capture.release()


class _File:
    """A video file or stream, by PyAV."""

    def __init__(self, source: str) -> None:
        av = _import_av()
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
        self.rate = self._video.average_rate or self._video.guessed_rate or _CAMERA_RATE
        self.sound = source if self._container.streams.audio and '://' not in source else None

    def frames(self) -> Iterator[_Frame]:
        import av

        first = None
        try:
            for frame in self._container.decode(self._video):
                pixels = frame.to_ndarray(format='bgr24')
                if frame.rotation:  # of a phone that was held upright
                    pixels = np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
                first = frame.time if first is None else first
                yield _Frame(pixels, None if frame.time is None else frame.time - (first or 0.0))
        except av.FFmpegError as error:
            print(f'warning: {self._name} is damaged ({error}): its frames end here.', file=sys.stderr, flush=True)

    def close(self) -> None:
        self._container.close()


def _import_av() -> Any:
    try:
        import av
    except ImportError as error:
        raise InputError(
            "videos need the package av (PyAV), which is not installed: pip install 'mmcentermask[video]'."
        ) from error
    return av


class _VideoWriter:
    """Writes an MP4 file, which gets its name at the end, with the sound of the source."""

    def __init__(self, path: str | Path, first: np.ndarray, reader: _Reader) -> None:
        self._path, self._size, self._reader = Path(path), first.shape[1::-1], reader

    def __enter__(self) -> _VideoWriter:
        av = _import_av()
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
        self._sound = self._open_sound(av)
        self._last, self._next = -1, 0
        return self

    def _open_sound(self, av: Any) -> Any:
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
        av = _import_av()
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


class _Tracker:
    """Numbers objects over frames, by ByteTrack of the package trackers."""

    def __init__(self, threshold: float, rate: float) -> None:
        try:
            from trackers import ByteTrackTracker
        except ImportError as error:
            raise InputError(
                "tracking needs the package trackers, which is not installed: pip install 'mmcentermask[tracking]'."
            ) from error
        self._tracker = ByteTrackTracker(
            frame_rate=rate, track_activation_threshold=threshold, high_conf_det_threshold=threshold
        )

    def update(self, found: Instances) -> list[int]:
        """Return the number of each object, -1 of one that is not yet followed."""
        detections = found.to_supervision()
        detections.mask = None  # it looks at boxes alone
        detections.data['row'] = np.arange(len(found))
        tracked = self._tracker.update(detections)
        ids = np.full(len(found), -1)
        ids[tracked.data['row'].astype(int)] = tracked.tracker_id
        return ids.tolist()
