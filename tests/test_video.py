"""Videos: every frame is predicted, drawn at its time and written, and what stops a run leaves whole files or none."""

import json
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_run import load_tool

from mmcentermask.errors import ImageError, InputError, MissingFileError
from mmcentermask.runtime import Segmenter
from mmcentermask.runtime.video import is_video, predict_video
from mmcentermask.structures import Instances, encode_crop, rle_to_json

av = pytest.importorskip('av')
TIMES = [0, 1, 2, 4, 5, 8, 9, 10]  # tenths of a second: frames are not evenly spaced


class Brightest:
    """Finds one box of 8 x 8 pixels at the top left; its score is the mean of the image."""

    classes, max_per_img = ('light',), 100

    def __init__(self, stop_at=None):
        self.stop_at, self.shapes = stop_at, []

    def load(self, source):
        return SimpleNamespace(pixels=source)

    def run(self, images):
        if len(self.shapes) == self.stop_at:
            raise KeyboardInterrupt
        self.shapes += [image.pixels.shape for image in images]
        results = []
        for image in images:
            height, width = image.pixels.shape[:2]
            score = np.array([image.pixels.mean() / 255], np.float32)
            box = np.array([[0, 0, 8, 8]], np.float32)
            codes = rle_to_json([encode_crop(np.ones((8, 8), bool), 0, 0, height, width)])
            results.append(Instances(box, np.array([0]), score, codes, height, width, self.classes))
        return results


def segmenter(**options):
    made = Segmenter.__new__(Segmenter)
    made._model, made.classes, made._limit_told = Brightest(**options), Brightest.classes, False
    return made


def write_video(path, sound=True, width=160, height=128):
    """Frames of one gray each, 100, 110, ..., and a second of sound."""
    with av.open(str(path), 'w') as container:
        video = container.add_stream('mpeg4', rate=10)
        video.width, video.height, video.pix_fmt, video.bit_rate = width, height, 'yuv420p', 10**6
        video.codec_context.time_base = Fraction(1, 10)
        audio = container.add_stream('aac', rate=16000) if sound else None
        for i, time in enumerate(TIMES):
            frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 100 + 10 * i, np.uint8), format='bgr24')
            frame.pts, frame.time_base = time, Fraction(1, 10)
            container.mux(video.encode(frame))
        if sound:
            wave = (np.sin(np.arange(16384) / 6) * 8000).astype(np.int16)
            for start in range(0, len(wave), 1024):
                frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format='s16', layout='mono')
                frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
                container.mux(audio.encode(frame))
            container.mux(audio.encode())
        container.mux(video.encode())
    return str(path)


def read_video(path):
    with av.open(str(path)) as container:
        frames = [(frame.time, frame.to_ndarray(format='bgr24')) for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        sound = sum(packet.size for packet in container.demux(audio=0)) if container.streams.audio else 0
    return [time for time, _ in frames], [pixels for _, pixels in frames], sound


def test_every_frame_is_drawn_at_its_time_with_the_sound(tmp_path):
    source = write_video(tmp_path / 'v.mp4')
    done = predict_video(segmenter(), source, tmp_path / 'drawn.mp4', tmp_path / 'v.jsonl')
    times, frames, sound = read_video(tmp_path / 'drawn.mp4')
    np.testing.assert_allclose(times, np.array(TIMES) / 10, atol=1e-3)
    given = [frame[90:].mean() for frame in read_video(source)[1]]
    np.testing.assert_allclose([frame[90:].mean() for frame in frames], given, atol=6)
    assert np.diff(given).min() > 6
    assert sound == read_video(source)[2] > 0
    rows = [json.loads(line) for line in (tmp_path / 'v.jsonl').read_text().splitlines()]
    assert [row['frame'] for row in rows] == list(range(8)) and done[:3] == (8, 8, 0)
    np.testing.assert_allclose([row['seconds'] for row in rows], np.array(TIMES) / 10, atol=1e-6)
    np.testing.assert_allclose([row['scores'][0] for row in rows], np.array(given) / 255, atol=0.01)
    assert not list(tmp_path.glob('*unfinished'))


def test_frames_of_odd_sides(tmp_path):
    from mmcentermask.runtime.video_files import open_writer

    reader = SimpleNamespace(rate=Fraction(10), sound=None)
    with open_writer(tmp_path / 'odd.mp4', np.zeros((33, 35, 3), np.uint8), reader) as write:
        for _ in range(3):
            write(np.full((33, 35, 3), 90, np.uint8), None)
    times, frames, _ = read_video(tmp_path / 'odd.mp4')
    assert frames[0].shape == (34, 36, 3) and np.allclose(times, [0, 0.1, 0.2], atol=0.01)


def test_after_an_interruption_the_frames_until_then_can_be_played(tmp_path):
    source = write_video(tmp_path / 'v.mp4')
    done = predict_video(segmenter(stop_at=3), source, tmp_path / 'drawn.mp4', tmp_path / 'v.jsonl')
    assert done.frames == 3 == len(read_video(tmp_path / 'drawn.mp4')[0])
    assert len((tmp_path / 'v.jsonl').read_text().splitlines()) == 3


def test_no_more_frames_than_asked_for(tmp_path):
    source = write_video(tmp_path / 'v.mp4', sound=False)
    assert predict_video(segmenter(), source, None, tmp_path / 'v.jsonl', most=2).frames == 2
    assert len((tmp_path / 'v.jsonl').read_text().splitlines()) == 2 and not (tmp_path / 'drawn.mp4').exists()


def test_a_window_that_is_closed_ends_it(tmp_path):
    source, shown = write_video(tmp_path / 'v.mp4'), []

    def show(frame, speed):
        shown.append(speed > 0)
        return len(shown) == 4

    assert predict_video(segmenter(), source, None, None, show=show).frames == 4 == sum(shown)


def test_what_fails_leaves_no_file(tmp_path):
    source = write_video(tmp_path / 'v.mp4')

    def show(frame, speed):
        raise InputError('no screen')

    with pytest.raises(InputError, match='no screen'):
        predict_video(segmenter(), source, tmp_path / 'drawn.mp4', tmp_path / 'v.jsonl', show=show)
    assert [path.name for path in tmp_path.iterdir()] == ['v.mp4']


def test_sources_that_are_none(tmp_path):
    with pytest.raises(MissingFileError, match='there is no video'):
        predict_video(segmenter(), 'nowhere.mp4', None, None)
    (tmp_path / 'text.mp4').write_text('no video')
    with pytest.raises(ImageError, match='cannot be opened'):
        predict_video(segmenter(), str(tmp_path / 'text.mp4'), None, None)
    with pytest.raises(InputError, match='the camera 77 cannot be opened'):
        predict_video(segmenter(), '77', None, None)


@pytest.mark.parametrize('library', ['PyAV', 'OpenCV'])
def test_a_video_is_not_written_over(tmp_path, monkeypatch, library):
    if library == 'OpenCV':
        monkeypatch.setattr('mmcentermask.runtime.video_files.av', None)
    source = write_video(tmp_path / 'v.mp4')
    content = (tmp_path / 'v.mp4').read_bytes()
    with pytest.raises(InputError, match='v.mp4 is the video itself'):
        predict_video(segmenter(), source, tmp_path / 'v.mp4', None)
    with pytest.raises(InputError, match='the frames to read are 0'):
        predict_video(segmenter(), source, None, None, most=0)
    assert (tmp_path / 'v.mp4').read_bytes() == content
    assert predict_video(segmenter(), source, tmp_path / 'drawn.mp4', None).frames == 8
    assert len(read_video(tmp_path / 'drawn.mp4')[0]) == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ['drawn.mp4', 'v.mp4']


def test_a_truncated_video_gives_the_frames_that_are_there(tmp_path):
    source = write_video(tmp_path / 'v.ts', sound=False)
    content = (tmp_path / 'v.ts').read_bytes()
    (tmp_path / 'v.ts').write_bytes(content[: len(content) * 2 // 3])
    assert 0 < predict_video(segmenter(), source, tmp_path / 'drawn.mp4', None).frames < 8
    assert len(read_video(tmp_path / 'drawn.mp4')[0]) > 0


def test_objects_keep_their_numbers(tmp_path):
    pytest.importorskip('trackers')
    source = write_video(tmp_path / 'v.mp4', sound=False)
    predict_video(segmenter(), source, None, tmp_path / 'v.jsonl', track=True)
    ids = [json.loads(line)['track_ids'][0] for line in (tmp_path / 'v.jsonl').read_text().splitlines()]
    assert len({number for number in ids if number >= 0}) == 1 and ids[-1] >= 0


def test_what_is_taken_for_a_video():
    assert [is_video(source) for source in ('0', 'a.MP4', 'rtsp://x/y', 'a.jpg', 'folder')] == [True] * 3 + [False] * 2


def test_the_command_does_not_write_over_its_video(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('mmcentermask.runtime.Segmenter', lambda *args, **kwargs: segmenter())
    tool, source = load_tool('demo/video_demo.py'), write_video(tmp_path / 'v.mp4')
    assert tool.main([source, 'model.onnx', '--out-dir', str(tmp_path)]) == 1
    assert 'is the video itself' in capsys.readouterr().err
    assert tool.main([source, 'model.onnx', '--out-dir', str(tmp_path / 'out')]) == 0
    assert '8 frames' in capsys.readouterr().out and (tmp_path / 'out/v.mp4').is_file()
