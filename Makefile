# `make demo` needs a Python from 3.10 to 3.13, or uv, and nothing else; `make test` also g++.
PYTHON =# a version such as 3.13, or the path of a Python; empty: the best there is
VENV = .venv
NEWEST = .venv-newest
EXTRAS = .venv-extras
RUN = $(VENV)/bin/python
DEMO = runs/demo
PYTEST = -m pytest -q --numprocesses=2 --dist=loadfile --no-loadscope-reorder --durations=40
# What the newest TensorFlow, Keras and OpenCV could change: all that touches Keras, `dense_labels/compat.py` or videos,
# and old runs.
DIFFERS = tests/test_old_runs.py tests/dense_labels/test_compat.py tests/dense_labels/test_kept_heads.py \
	tests/dense_labels/detection tests/dense_labels/training tests/dense_labels/exporting tests/models tests/serving/test_loader.py \
	$(addprefix tests/dense_labels/method/,test_losses.py test_introspection_loss.py test_pair_loss.py test_label_sphere.py \
	test_exchange.py test_one_pass.py test_sparse_landmarks.py) \
	tests/input_pipeline/storage/test_videos.py tests/dense_labels/prediction/test_video_prediction.py \
	tests/input_pipeline/views/test_warps.py tests/input_pipeline/simulation \
	tests/test_mains.py::test_two_workers_of_which_one_is_lost_and_comes_back_end_with_the_weights_of_one \
	tests/test_own_pictures.py::test_a_trunk_becomes_descriptors_and_is_not_needed_any_more
# What needs packages that `test` does not bring.
NEEDY = tests/serving/test_bulk.py tests/serving/test_bulk_shards.py tests/serving/test_convert.py \
	tests/input_pipeline/readers/formats/test_sleap.py tests/dense_labels/prediction
export PYTHONDONTWRITEBYTECODE =# or every process would compile TensorFlow anew, which takes 10 seconds

.PHONY: demo test test-newest test-extras lint clean

demo: $(VENV)/installed
	$(RUN) train_main.py --config=configs/demo.py --workdir=$(DEMO)
	rm -rf $(DEMO)/served
	$(RUN) eval_main.py --workdir=$(DEMO) --export_dir=$(DEMO)/served

test: $(VENV)/installed
	$(RUN) $(PYTEST) tests

test-newest: $(NEWEST)/installed
	$(NEWEST)/bin/python $(PYTEST) $(DIFFERS)

test-extras: $(EXTRAS)/installed
	$(EXTRAS)/bin/python -c "import apache_beam, onnxruntime, sleap_io, tf2onnx"  # without one its tests are skipped
	$(EXTRAS)/bin/python $(PYTEST) $(NEEDY)

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) $(NEWEST) $(EXTRAS) $(DEMO)

# An environment that was made with another Python than the one asked for is made anew.
ifneq ($(PYTHON),)
ifneq ($(PYTHON),$(shell cat $(VENV)/installed 2>/dev/null))
.PHONY: $(VENV)/installed
endif
endif

$(VENV)/installed: setup.cfg pyproject.toml
	tools/make_environment $(VENV) $(PYTHON)

$(NEWEST)/installed: setup.cfg pyproject.toml
	tools/make_environment $(NEWEST) 3.13

$(EXTRAS)/installed: setup.cfg pyproject.toml
	tools/make_environment $(EXTRAS) "$(PYTHON)" test,beam,onnx,sleap
	rm -rf $(EXTRAS)/lib/python*/site-packages/tests  # of tf2onnx and sleap-io, which hides ours
