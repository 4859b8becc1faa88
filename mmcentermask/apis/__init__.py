"""What the starters in tools/ and demo/ are made of, and prediction from Python."""

from ..atomic_write import check_writable, write_files
from ..datasets.data_check import check_data_for_testing, check_data_for_training, named_image_errors
from ..errors import AnnotationError, CheckpointError, ImageError, InputError, MissingFileError
from ..image_inputs import list_images, read_image
from .inferencer import CenterMaskInferencer
from .launch import build_runner, check_least, check_once, end_processes, report_input_errors, start_processes
from .run_check import (
    check_device,
    check_model_for_testing,
    check_model_for_training,
    check_prediction_options,
    check_run,
)
from .run_config import load_config, set_auto_scale_lr, set_resume, use_amp, use_tta

__all__ = [
    'AnnotationError',
    'CenterMaskInferencer',
    'CheckpointError',
    'ImageError',
    'InputError',
    'MissingFileError',
    'build_runner',
    'check_data_for_testing',
    'check_data_for_training',
    'check_device',
    'check_least',
    'check_model_for_testing',
    'check_model_for_training',
    'check_once',
    'check_prediction_options',
    'check_run',
    'check_writable',
    'end_processes',
    'list_images',
    'load_config',
    'named_image_errors',
    'read_image',
    'report_input_errors',
    'set_auto_scale_lr',
    'set_resume',
    'start_processes',
    'use_amp',
    'use_tta',
    'write_files',
]
