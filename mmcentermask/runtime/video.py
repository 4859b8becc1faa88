"""Prediction on videos, streams and cameras: reading, the network and drawing overlap, a thread each."""

from __future__ import annotations

import collections
import contextlib
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import cv2
import numpy as np

from ..atomic_write import atomic_write
from ..errors import InputError
from ..structures import Instances
from .segmenter import Segmenter
from .video_files import Frame, FrameReader, open_writer

_VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.ts')
_STREAMS = ('rtsp', 'rtmp', 'udp', 'srt')
_AHEAD = 4  # frames that wait to be drawn


class VideoSummary(NamedTuple):
    """What was done with a video: frames, objects, frames that were left out, and frames a second."""

    frames: int
    objects: int
    dropped: int
    speed: float


def result_name(source: str) -> str:
    """Name the results of a video: ``street`` of street.mp4, ``camera0`` of the first camera."""
    return f'camera{source}' if source.isdecimal() else Path(urlsplit(source).path).stem or 'stream'


def is_video(source: str) -> bool:
    """Tell whether an input is a video file, a stream's address or the number of a camera."""
    address = urlsplit(source)
    return source.isdecimal() or address.scheme in _STREAMS or Path(address.path).suffix.lower() in _VIDEOS


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

    Ctrl-C ends it in order: what was done until then is whole. Where PyAV is installed, files keep their times, their
    sound and the way up of a phone's video; OpenCV, which is there in any case, knows none of these.

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
        InputError: If it cannot be opened, has no frame, or would be written over, or a package is missing.
        OutputError: If a result cannot be written.

    >>> predict_video(Segmenter('model.onnx'), 'street.mp4', 'drawn.mp4', 'street.jsonl')  # doctest: +SKIP
    """
    if most is not None and most < 1:
        raise InputError(f'the frames to read are {most}: give 1 or more.')
    if video is not None and Path(source).exists() and Path(video).exists() and Path(video).samefile(source):
        raise InputError(f'{video} is the video itself: choose another folder for the results.')
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(FrameReader(source, most, realtime))
        tracker = _Tracker(threshold, float(reader.rate)) if track else None
        frames = iter(reader.get, None)
        first = next(frames, None)
        if first is None:
            raise InputError(f'{source} has no frame that can be read: give a complete video.')
        draw = None if video is None else stack.enter_context(open_writer(video, first.pixels, reader))
        written = None if lines is None else stack.enter_context(atomic_write(lines, 'choose another folder'))
        thread = stack.enter_context(ThreadPoolExecutor(1))
        began, number, objects = time.perf_counter(), 0, 0
        waiting: collections.deque[Future] = collections.deque()

        def finish(frame: Frame, found: Instances, ids: list[int] | None, number: int) -> bool:
            """Write and draw a frame; return whether its window was closed."""
            if written is not None:
                row = {'frame': number, 'seconds': frame.seconds, **found.to_dict()}
                row.update({} if ids is None else {'track_ids': ids})
                written.write(json.dumps(row).encode() + b'\n')
            if draw is not None or show is not None:
                names = None if ids is None else [f'{name} {i}' for name, i in zip(found.names, ids)]
                pixels = found.draw(frame.pixels, label_names=names)
                if draw is not None:
                    draw(pixels, frame.seconds)
                return show is not None and show(pixels, (number + 1) / (time.perf_counter() - began))
            return False

        with contextlib.suppress(KeyboardInterrupt):
            for frame in itertools.chain([first], frames):
                found = segmenter.predict(frame.pixels, threshold, classes)
                done = frame, found, None if tracker is None else tracker.update(found), number
                number, objects = number + 1, objects + len(found)
                if show is None:
                    waiting.append(thread.submit(finish, *done))
                    if len(waiting) > _AHEAD:
                        waiting.popleft().result()
                elif finish(*done):  # windows want the main thread
                    break
        for job in waiting:
            job.result()
    return VideoSummary(number, objects, reader.dropped, number / (time.perf_counter() - began))


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


def show_in_window(frame: np.ndarray, speed: float) -> bool:
    """Show a frame and the frames a second in a window; return whether q was pressed.

    Raises:
        InputError: If there is no screen, or an OpenCV without windows.
    """
    try:
        if sys.platform == 'linux' and not os.environ.keys() & {'DISPLAY', 'WAYLAND_DISPLAY'}:
            raise cv2.error('no screen')  # for which Qt would abort the process
        frame = frame.copy()
        cv2.putText(frame, f'{speed:.1f} FPS', (10, 30), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2)
        cv2.imshow('mmcentermask', frame)
        return cv2.waitKey(1) & 0xFF == ord('q')
    except cv2.error as error:
        raise InputError(
            '--show needs a screen and an OpenCV with windows: pip uninstall -y opencv-python-headless && pip install '
            'opencv-python, or leave it out.'
        ) from error
