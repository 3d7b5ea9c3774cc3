import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from dense_labels.exporting import warmup_requests


def test_the_file_is_what_the_protos_of_tensorflow_serving_would_write(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, [2, 30, 40, 3], np.uint8)  # a length of several bytes
    files = tf.constant([b"\x89PNG\0", b""])
    requests = [("landmarks", {"images": pixels}), ("match_encoded", {"image_a": files, "image_b": files})]
    warmup_requests.write(tmp_path, requests)
    records = tf.data.TFRecordDataset(str(tmp_path / "assets.extra" / "tf_serving_warmup_requests"))
    found = [prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in records]
    for log, (name, inputs) in zip(found, requests, strict=True):
        expected = prediction_log_pb2.PredictionLog()
        request = expected.predict_log.request
        request.model_spec.signature_name = name
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        assert log == expected
    np.testing.assert_array_equal(tf.make_ndarray(found[0].predict_log.request.inputs["images"]), pixels)
