"""Converts an exported model for phones and other runtimes: LiteRT, whole or with 8-bit weights, and ONNX.

python -m serving.convert --model=served/mine/1 --to=lite_int8 --out=mine.tflite [--signature=landmarks]

The converted model takes one picture, float32 [1, H, W, 3] from 0 to 1, of the size that the model card gives as
`input_size` and twice `margin` (of `landmarks_frame` for landmarks), and answers in its pixels; where values are not
from 0 to 1, such as bytes that were cast, it answers NaN. It does no resizing and reads no files, and points in a
picture of another size are the caller's to scale. `lite_int8` keeps weights in 8 bits
and computes in floats where it must (dynamic range). Every signature that takes one picture can be converted, by the
name of its function in Python.
ONNX needs tf2onnx: pip install "dense-labels[onnx]"
"""

from __future__ import annotations

import functools
import importlib.util
import os
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags

from dense_labels import command_line, files, progress
from dense_labels.exporting import checksums, model_card
from dense_labels.registry import SIGNATURES

KINDS = ("lite", "lite_int8", "onnx")
_ROUNDING = 1e-3  # by which values may lie beyond 0 and 1, as those of pictures that a caller has resized do


def convert(folder: str | os.PathLike, kind: str, *, task: str = "landmarks") -> bytes:
    """Converts one function of an exported model.

    Args:
      folder: of a version.
      kind: one of `KINDS`.
      task: name of a function of the loaded model that takes one picture, such as "labels".

    Returns:
      The content of a .tflite or .onnx file.

    Raises:
      ValueError: if there is no such kind, the folder holds no such model, its files are damaged, it joins requests or
        lacks that function, tf2onnx is missing, or ONNX lacks what the model needs.
    """
    if kind not in KINDS:
        raise ValueError(f"--to={kind}: there is no such kind; choose {', '.join(KINDS)}")
    model, size = _load(folder, task)

    @tf.function(input_signature=[tf.TensorSpec([1, *size, 3], tf.float32, "images")])
    def answer(images):
        return _where_sound(images, getattr(model, task)(images))

    if kind == "onnx":
        return _to_onnx(answer)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([answer.get_concrete_function()], model)
    if kind == "lite_int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def _where_sound(images, found):
    """NaN for all that is found in images whose values are not from 0 to 1: a conversion drops what refuses them."""
    sound = tf.reduce_all((images >= -_ROUNDING) & (images <= 1 + _ROUNDING))
    return {
        name: tf.where(sound, values, np.nan) if values.dtype.is_floating else values for name, values in found.items()
    }


def _load(folder, task):
    checksums.check(folder)
    try:
        card = model_card.read(folder)
    except FileNotFoundError:
        place = f"{model_card.FILE}; give a version, such as served/mine/1"
        raise ValueError(f"--model={folder} holds no {place}") from None
    properties = card["model"]
    if properties["batch_requests"]:
        raise ValueError(f"--model={folder} joins requests, which only servers do; export it without --batch_requests")
    tasks = _tasks(card)
    if task not in tasks:
        raise ValueError(f"--signature={task}: {folder} has {', '.join(tasks)}")
    if task in SIGNATURES and "points" in SIGNATURES[task].value.needs:
        properties = card.get("landmarks_frame", properties)  # a detector sees pictures in a frame of its own
    with files.plain_path(folder) as plain:
        return tf.saved_model.load(plain), [side + 2 * properties["margin"] for side in properties["input_size"]]


def _tasks(card: dict[str, Any]) -> list[str]:
    """The functions of a model that take one picture; cards of earlier versions do not name them."""
    found = {
        each.get("function", name.removesuffix("_float"))
        for name, each in card["signatures"].items()
        if {key: tensor["dtype"] for key, tensor in each["inputs"].items()} == {"images": "float32"}
    }
    return sorted(found)


def _to_onnx(answer):
    if importlib.util.find_spec("tf2onnx") is None:
        raise progress.not_installed("--to=onnx", "tf2onnx", "onnx")
    import onnx  # an extra
    import tf2onnx

    # ONNX has no such resizing; here it is of pictures that have the size already, and changes nothing.
    resized: list[str] = []  # to another size; tf2onnx goes on whatever a handler raises
    shown = answer.input_signature[0].shape.as_list()[1:3]
    handlers = {"ScaleAndTranslate": (functools.partial(_first_input, resized, shown), ["Identity"])}
    options = {"opset": 17, "custom_op_handlers": handlers}
    converted, _ = tf2onnx.convert.from_function(answer, answer.input_signature, **options)
    if resized:
        raise ValueError(
            f"--to=onnx: this model resizes pictures with antialias=True ({resized[0]}), which ONNX has no operation "
            "for; resize without it, or convert to lite"
        )
    function = answer.get_concrete_function()
    captured = dict(zip((tensor.name for tensor in function.inputs[1:]), function.captured_inputs))
    for place in [place for place in converted.graph.input if place.name in captured]:  # constants are no inputs
        converted.graph.input.remove(place)
        value = onnx.numpy_helper.from_array(captured[place.name].numpy(), place.name)
        converted.graph.initializer.append(value)
    try:
        onnx.checker.check_model(converted)
    except onnx.checker.ValidationError as error:
        reason = f"ONNX cannot take this model; export it again if an earlier version did: {str(error).splitlines()[0]}"
        raise ValueError(f"--to=onnx: {reason}") from error
    return converted.SerializeToString()


def _first_input(resized, shown, context, node, name, arguments):
    before, after = ((context.get_shape(each) or [-1] * 4)[1:3] for each in (node.input[0], node.output[0]))
    if after != (shown if min(before) < 0 else before):
        resized.append(name)
    del node.input[1:]
    return node


def main() -> None:
    given = flags.FLAGS
    files.check_local(given.out, "--out")
    content = convert(os.path.expanduser(given.model), given.to, task=given.signature)
    files.write_whole(os.path.expanduser(given.out), content)
    progress.say(f"{given.out}: {len(content) / 2**20:.2f} MiB")


def _define_flags():
    flags.DEFINE_string("model", None, "Folder of a version that eval_main.py exported.")
    flags.DEFINE_enum("to", "lite", KINDS, "What to convert it to.")
    flags.DEFINE_string("signature", "landmarks", "What the converted model answers, such as labels.")
    flags.DEFINE_string("out", None, "The file to write.")
    flags.mark_flags_as_required(["model", "out"])


if __name__ == "__main__":
    _define_flags()
    command_line.run(main)
