"""What `import dense_labels` does by itself: it sets up TensorFlow, and does not import it."""

import os
import platform
import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["dense_labels", "serving", "benchmarks"])
@pytest.mark.parametrize(
    "given, expected", [(None, "1" if platform.machine() in ("x86_64", "AMD64") else None), ("0", "0")]
)
def test_onednn_is_used_unless_the_user_says_no(module, given, expected):
    environment = {key: value for key, value in os.environ.items() if key != "TF_ENABLE_ONEDNN_OPTS"}
    if given:
        environment["TF_ENABLE_ONEDNN_OPTS"] = given
    code = f"import os, sys, {module}; print('tensorflow' in sys.modules, os.environ.get('TF_ENABLE_ONEDNN_OPTS'))"
    printed = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert printed.split() == ["False", str(expected)]
