"""A page to try a model on: drop an image or use the camera, then slide, choose and click.

python demo/web_demo.py [MODEL] [--weights FILE] [--compare MODEL [FILE]]

takes a config, the name of a model or an exported file; without any the model of `make demo`. It needs gradio:
pip install 'mmcentermask[web]'.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from mmcentermask.errors import InputError, MissingFileError
from mmcentermask.runtime.command import run_command
from mmcentermask.runtime.web_page import Model, build_page

ROOT = Path(__file__).resolve().parents[1]
DEMO_CONFIG = ROOT / 'configs/centermask/centermask-lite_v19-slim-dw-ese_fpn_shapes.py'
DEMO_RESULTS = ROOT / 'work_dirs/demo'
CSS = """
.gradio-container {max-width: 1500px !important}
.drawn img {max-height: 75vh; cursor: crosshair}
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Show a page on which a model can be tried.')
    parser.add_argument(
        'model', nargs='?', help='config, name of a model, .onnx or .xml file (default: the model of `make demo`)'
    )
    parser.add_argument('--weights', metavar='FILE', help='checkpoint of a config')
    parser.add_argument('--compare', nargs='+', metavar='MODEL', help='another model, and its checkpoint')
    parser.add_argument('--device', help='where to predict (default: the GPU, else the CPU)')
    parser.add_argument('--host', default='127.0.0.1', help='address to listen at (default: this machine alone)')
    parser.add_argument('--port', type=int, help='(default: the first free one from 7860)')
    parser.add_argument('--max-upload', type=int, default=20, metavar='MB', help='(default: %(default)s)')
    return parser.parse_args(argv)


def demo_model() -> tuple[str, str]:
    """Return config and last checkpoint of `make demo`; raise MissingFileError if there is none."""
    record = DEMO_RESULTS / 'last_checkpoint'
    checkpoint = DEMO_RESULTS / Path(record.read_text().strip()).name if record.is_file() else None
    if checkpoint is None or not checkpoint.is_file():
        raise MissingFileError(
            f'there is no model in {DEMO_RESULTS}: train one by `make demo`, or give one, as in '
            'python demo/web_demo.py own.py --weights work_dirs/own/iter_1000.pth.'
        )
    return str(DEMO_CONFIG), str(checkpoint)


def serve(args: argparse.Namespace) -> None:
    """Load the models and show the page, until Ctrl-C."""
    if args.max_upload < 1:
        raise InputError(f'--max-upload is {args.max_upload}: give 1 or more.')
    if args.weights and not args.model:
        raise InputError(f'--weights {args.weights} are of no model: give its config before them.')
    if len(args.compare or []) > 2:
        raise InputError(f'--compare has {len(args.compare)} values: give a model and its checkpoint.')
    given = [(args.model, args.weights)] if args.model else [demo_model()]
    if args.compare:
        given.append((args.compare[0], args.compare[1] if len(args.compare) > 1 else None))
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(GRADIO_TEMP_DIR=folder, GRADIO_ANALYTICS_ENABLED='False')
        try:
            import gradio as gr
        except ImportError as error:
            raise InputError(
                "the page needs the package gradio, which is not installed: pip install 'mmcentermask[web]'."
            ) from error
        models = [Model(model, weights, args.device) for model, weights in given]
        page = build_page(gr, models)
        theme = gr.themes.Default(font=['Helvetica', 'Arial', 'sans-serif'], font_mono=['monospace'])  # none is fetched
        try:
            _, address, _ = page.launch(
                server_name=args.host,
                server_port=args.port,
                max_file_size=args.max_upload * 2**20,
                theme=theme,
                css=CSS,
                quiet=True,
                share=False,
                ssr_mode=False,
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                prevent_thread_lock=True,
            )
        except OSError as error:
            raise InputError(f'the page cannot be served at {args.host} ({error}): choose another --port.') from error
        print(f'The page is at {address} until Ctrl-C.', flush=True)
        page.block_thread()


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    return run_command(serve, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
