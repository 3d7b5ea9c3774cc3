# Trains and evaluates in a container:
#
#   docker build -t dense-labels .
#   docker build -t dense-labels:gpu --build-arg "EXTRA=[gpu]" .    which brings the CUDA libraries along
#   docker run --rm -v "$PWD:/work" dense-labels dense-labels-train --config=folder --config.data.dir=PICTURES --workdir=run
#   docker run --rm --gpus all -v "$PWD:/work" dense-labels:gpu ...  needs NVIDIA's container toolkit
#
# TensorFlow 2.15 takes Python 3.11; the newest stack: --build-arg PYTHON=3.13 --build-arg TENSORFLOW=2.21. Beam needs
# other versions than those that were tested without it: --build-arg "EXTRA=[beam]" --build-arg TENSORFLOW=
ARG PYTHON=3.11
FROM python:${PYTHON}-slim
ARG TENSORFLOW=2.15
ARG EXTRA=
WORKDIR /dense_labels
COPY . .
RUN pip install --no-cache-dir ${TENSORFLOW:+--constraint constraints/tensorflow-${TENSORFLOW}.txt} ".${EXTRA}"
WORKDIR /work
CMD ["dense-labels-train", "--help"]
