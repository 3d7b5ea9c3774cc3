"""A run on the textured sphere: its evaluation measures the frame of its labels against the true one."""

import json

from dense_labels import run_config
from dense_labels.config import Config, DataConfig, ModelConfig
from dense_labels.evaluation import surface
from input_pipeline.simulation import frame_pairs
from tests import commands


def test_evaluation_measures_the_frame_of_a_run(tmp_path):
    data = DataConfig(name="sphere", dir=str(tmp_path / "data"), num_pairs=frame_pairs.MIN_NUM_PAIRS, seed=7)
    (tmp_path / "run").mkdir()
    run_config.save(Config(data=data, model=ModelConfig(name="simple")), tmp_path / "run")
    result = commands.run("eval_main.py", f"--workdir={tmp_path / 'run'}", "--untrained", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    written = json.loads((tmp_path / "run/eval_untrained/result.json").read_text())
    metrics = written["metrics"]
    for name in surface.MEASURES:
        assert f"{metrics[f'{name}_median_degrees']:.2f}" in result.stdout
        assert 10 < metrics[f"{name}_mean_degrees"] < 120 and 50 < metrics[f"chance_{name}_mean_degrees"] < 120
    assert written["protocol"]["test_images"] == 10 and written["protocol"]["fitted_on_images"] == 100
    pictures = {path.stem for path in (tmp_path / "run/eval_untrained").glob("*.png")}
    of_pairs = {"labels", "sphere", "hemispheres", "transfer", "pairs", "match_errors", "precision_recall"}
    assert pictures == of_pairs | {"mean_object"}
