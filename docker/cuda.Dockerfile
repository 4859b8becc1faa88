# CUDA 12.6: docker build -t mmcentermask:cuda -f docker/cuda.Dockerfile .
#            docker run --rm --gpus all -v "$PWD:/data" mmcentermask:cuda python /opt/mmcentermask/tools/train.py /data/own.py
# There is no GPU while an image is built, so the steps of `make env` stand here, with the architectures to compile for.
FROM nvidia/cuda:12.6.3-devel-ubuntu24.04 AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
ARG ARCHITECTURES="7.5 8.0 8.6 8.9 9.0"
RUN pip install --no-cache-dir torch==2.13.0 --index-url https://download.pytorch.org/whl/cu126 \
    && pip install --no-cache-dir 'setuptools<81' wheel ninja 'numpy<2.3' 'opencv-python-headless<4.13'
RUN MMCV_WITH_OPS=1 FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST="$ARCHITECTURES" CFLAGS='-g0 -O2' \
    pip install --no-cache-dir --no-build-isolation --no-deps --no-binary onedl-mmcv onedl-mmcv==2.3.6
WORKDIR /opt/mmcentermask
COPY . .
# mmcv asks for the OpenCV with windows, whose libraries are not here: the one without replaces its files
RUN pip install --no-cache-dir --no-build-isolation '.[onedl]' \
    && pip install --no-cache-dir --no-deps --force-reinstall 'opencv-python-headless<4.13'

# torch brings CUDA's libraries with it, so the compiler stays behind
FROM ubuntu:24.04
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 libgomp1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/mmcentermask /opt/mmcentermask
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /data
CMD ["python", "-m", "mmcentermask.doctor"]
