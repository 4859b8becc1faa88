# One command each: `make demo` trains CenterMask on drawn shapes, `make test` runs the tests. Both do all the set-up.
#   STACK=openmmlab   OpenMMLab's mmcv, mmengine and mmdet in place of the maintained onedl-* packages
#   PYTHON=python3.12 the interpreter that the environment is made with (3.10 to 3.13)
#   VENV=folder       another place for the environment
#   JOBS=4            test processes, of one thread each (2 by default, 3 of the slow tests)
#   ISA=AVX2          instruction set of `make test-kernels`: SSE41 (the default), AVX2, AVX512_CORE
#   PYTEST_ARGS=...   more options of pytest

PYTHON ?= python3
STACK ?= onedl
VENV ?= $(if $(filter openmmlab,$(STACK)),.venv-openmmlab,.venv)
BIN := $(abspath $(VENV))/bin
JOBS ?= 2
THREADS ?= 1
ISA ?= SSE41
NUMERIC = centermask centermask_head centermask_roi_head centermask_tta equality masks fast_inference timm
# neighbours stay in one process, for what a file's tests share is made once a process; who is done takes from the other
PYTEST = OMP_NUM_THREADS=$(THREADS) PYTHONPATH='$(abspath $(VENV))/metrics'"$${PYTHONPATH:+:$$PYTHONPATH}" $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

.DEFAULT_GOAL := help
.PHONY: help env timm metrics hub export web gradio mim onedl-mim sphinx demo test test-slow test-kernels docs lint format clean others notebook

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 21

env: ## make the environment, finish an interrupted one, or find that it is whole
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
		echo 'mmcentermask needs Python 3.10 to 3.13, which "$(PYTHON)" is not: name another one, as in "make demo PYTHON=python3.12".' >&2; exit 2; }
	@$(PYTHON) tools/make_env.py --stack '$(STACK)' --venv '$(VENV)'

demo: env metrics ## train, evaluate and draw; results in work_dirs/demo
	PATH="$(BIN):$$PATH" PYTHONPATH='$(abspath $(VENV))/metrics'"$${PYTHONPATH:+:$$PYTHONPATH}" bash demo/run_demo.sh

# what some tests alone ask for lies in folders of their own; without it they are skipped
BESIDE = @test -d '$(VENV)/$@' || $(BIN)/python -m pip install -q --target '$(VENV)/$@'

timm: env # to compare converted weights with; torchvision, which it needs, may not fit this torch
	$(BESIDE) --no-deps timm==1.0.31 torchvision==0.28.0 || echo 'timm could not be installed: the comparison with it is skipped.'

metrics: env # hotcoco, and the evaluations of LVIS and Cityscapes; what they ask for at run time they do not need here
	$(BESIDE) --no-deps lvis==0.5.3 hotcoco==1.3.0 cityscapesScripts==2.3.0 pyquaternion==0.9.9 || echo 'lvis, hotcoco or cityscapesScripts could not be installed: their tests are skipped.'

hub: env # the Hugging Face hub's client
	$(BESIDE) huggingface_hub==2.4.0 safetensors==0.8.0 || echo 'huggingface_hub could not be installed: the tests of the hub are skipped.'

export: env # what writes and runs exported models, and what takes or writes their results
	$(BESIDE) --no-deps onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 openvino-telemetry protobuf flatbuffers ml_dtypes supervision==0.31.2 defusedxml pydeprecate requests urllib3 idna certifi charset-normalizer av==18.1.0 trackers==2.6.1 pyarrow==26.0.1 || echo 'onnxruntime, openvino or PyAV could not be installed: the tests of exported models and of videos are skipped.'

web: env # a browser and onnxruntime for it, of npm
	@test -d '$(VENV)/web/node_modules' || npm install --silent --no-audit --no-fund --prefix '$(VENV)/web' onnxruntime-web@1.30.0 playwright-core@1.65.1 @sparticuz/chromium@147.0.0 || echo 'Chromium could not be installed: the test of the web page is skipped.'

notebook: env # what runs demo/tutorial.ipynb
	$(BESIDE) nbclient==0.11.0 ipykernel==7.4.0 || echo 'nbclient could not be installed: the test of the notebook is skipped.'

gradio: env # the page to try a model on
	$(BESIDE) gradio==6.31.0 || echo 'gradio could not be installed: the test of its page is skipped.'

mim: env # without what only its download of data sets asks for
	$(BESIDE) --no-deps openmim==0.3.9 click==8.5.1 colorama==0.4.6 model-index==0.1.11 ordered-set==4.1.0 markdown==3.11.3 \
		tabulate==0.10.0 pandas==2.3.3 pytz==2026.6 tzdata==2026.6 requests==2.34.2 urllib3==2.8.0 certifi idna charset-normalizer \
		|| echo 'openmim could not be installed: its tests are skipped.'

onedl-mim: mim # of the maintained line, which asks for the same
	$(BESIDE) --no-deps onedl-mim==0.5.1 || echo 'onedl-mim could not be installed: its tests are skipped.'

others: env # tools that take our results, and what predicts on many machines; without what these tests do not need
	$(BESIDE) --no-deps sahi==0.12.8 shapely==2.2.0 fire==0.7.1 termcolor==3.3.0 requests_toolbelt pybboxes==0.2.0 terminaltables \
		labelme==6.3.1 imgviz==2.1.0 cmap loguru==0.7.3 tifffile natsort \
		datumaro==1.13.12 attrs cachetools imagesize json_stream json_stream_rs_tokenizer lxml orjson ruamel_yaml pandas==2.3.3 \
		python-dateutil pytz tzdata six rasterio==1.4.4 affine click cligj click-plugins pyparsing \
		ray==2.60.0 filelock fsspec jsonschema jsonschema-specifications referencing rpds-py msgpack packaging protobuf pyyaml \
		requests typing_extensions pydantic pydantic_core annotated_types typing_inspection tensorboardX \
		|| echo 'SAHI, labelme, Datumaro, rasterio or Ray could not be installed: their tests are skipped.'

test: env timm metrics hub export ## the tests, without the slow ones
	$(PYTEST) -m 'not slow'

test-slow: JOBS = 3 # many of them wait for processes of their own
test-slow: env timm metrics hub export web gradio mim onedl-mim others notebook ## the slow tests
	$(PYTEST) -m slow

# what compares float32 results, with other kernels of oneDNN and torch and with two threads, which round otherwise
test-kernels: JOBS = 1
test-kernels: THREADS = 2
test-kernels: env timm ## the numeric tests with an older processor's kernels
	ONEDNN_MAX_CPU_ISA=$(ISA) ATEN_CPU_CAPABILITY=$(if $(filter SSE41,$(ISA)),default,avx2) $(PYTEST) -m 'not slow' $(addprefix tests/test_,$(addsuffix .py,$(NUMERIC)))

sphinx: env
	$(BESIDE) sphinx==9.0.4 furo==2025.12.19 myst-parser==5.2.0 sphinx-copybutton==0.5.2

# the whole repository is the source, so that links between pages are the same here and where the code is hosted
docs: sphinx ## build the documentation: build/docs/index.html
	PYTHONPATH='$(abspath $(VENV))/sphinx' $(BIN)/python -m sphinx -q -W --keep-going -j auto -c docs . build/docs

lint: env ## check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: env ## fix style and format where a tool can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what builds and tests left; the environments and results stay
	rm -rf build/lib build/bdist.* dist .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +
