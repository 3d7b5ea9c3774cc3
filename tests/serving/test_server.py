"""The real services and messages of TensorFlow Serving, on this machine; `test_loader` runs its loader."""

import collections
import errno
import pathlib
import shutil
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from benchmarks import faults, mutations
from benchmarks import serving as measured
from benchmarks.faults import server as hostile
from dense_labels.exporting import checksums, signatures
from serving import client, server, versions

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = measured.MODEL


@pytest.fixture(scope="module")
def files():
    return measured.pictures(6)


@pytest.fixture(scope="module")
def model(colour_served_dir):
    return tf.saved_model.load(str(colour_served_dir / "1"))


@pytest.fixture(scope="module")
def followed(colour_served_dir, tmp_path_factory):
    """A folder of versions of its own, for a server to follow."""
    folder = tmp_path_factory.mktemp("followed")
    shutil.copytree(colour_served_dir / "1", folder / "1")
    return folder


@pytest.fixture(scope="module")
def address(followed):
    following = versions.Versions(followed, poll_seconds=0.2)
    running, port = server.serve(following, MODEL, max_bytes=2**22)
    yield f"localhost:{port}"
    running.stop(0)
    following.stop()


@pytest.fixture(scope="module")
def connection(address):
    connected = client.Client(address, MODEL)
    yield connected
    connected.close()


def test_the_name_of_a_folder_is_no_pattern(colour_served_dir, tmp_path):
    shutil.copytree(colour_served_dir / "1", tmp_path / "served[1]" / "3")
    assert versions.Version(str(tmp_path / "served[1]" / "3")).number == 3


def test_every_signature_is_described_as_it_is(connection, model):
    described = connection.signatures()
    assert set(described) == set(model.signatures) == set(signatures.named())
    for name, (_, signature, dtype) in signatures.named().items():
        assert set(described[name].inputs) == set(signature.inputs)
        assert {tensor.dtype for tensor in described[name].inputs.values()} == {dtype.as_datatype_enum}
        assert set(described[name].outputs) == set(model.signatures[name].structured_outputs)
    assert [dim.size for dim in described["landmarks"].inputs["images"].tensor_shape.dim] == [-1, -1, -1, 3]


@pytest.mark.parametrize("count, size", [(1, (30, 24)), (3, (50, 41))])
def test_every_signature_answers_as_the_model_does(connection, model, count, size):
    images = np.random.default_rng(0).integers(0, 256, [count, *size, 3], np.uint8)
    sent = {
        tf.uint8: images,
        tf.float32: np.float32(images) / 255,
        tf.string: np.array([tf.io.encode_png(image).numpy() for image in images], object),
    }
    for name, (_, signature, dtype) in signatures.named().items():
        inputs = dict.fromkeys(signature.inputs, sent[dtype])
        found, expected = connection.predict(name, **inputs), model.signatures[name](**map_values(tf.constant, inputs))
        assert set(found) == set(expected)
        for key in found:
            np.testing.assert_allclose(found[key], expected[key], atol=1e-2 if "points" in key else 1e-5, err_msg=name)


def map_values(function, dictionary):
    return {key: function(value) for key, value in dictionary.items()}


def test_an_answer_says_which_version_gave_it_and_holds_what_was_asked_for(connection, files):
    request = mutations.request(MODEL, "encoded", images=np.array(files[:1], object))
    request.output_filter.append("points")
    response = connection.send(request)
    assert list(response.outputs) == ["points"]
    assert response.model_spec.name == MODEL and response.model_spec.signature_name == "encoded"
    request.model_spec.version.value = response.model_spec.version.value
    assert connection.send(request).model_spec == response.model_spec


@pytest.mark.parametrize(
    "change, code, message",
    [
        (lambda r: setattr(r.model_spec, "name", "other"), "NOT_FOUND", "there is no model 'other'; model is served"),
        (lambda r: setattr(r.model_spec.version, "value", 99), "NOT_FOUND", "model has no version 99; version"),
        (lambda r: setattr(r.model_spec, "version_label", "new"), "NOT_FOUND", "model has no label new; version"),
        (
            lambda r: setattr(r.model_spec, "signature_name", "x"),
            "INVALID_ARGUMENT",
            "no signature 'x'; there are desc",
        ),
        (lambda r: r.output_filter.append("x"), "INVALID_ARGUMENT", "gives .*points.*; not x"),
        (lambda r: r.inputs["b"].CopyFrom(r.inputs["images"]), "INVALID_ARGUMENT", "must be images; found b, images"),
    ],
)
def test_what_is_not_there_is_refused_by_name(connection, files, change, code, message):
    request = mutations.request(MODEL, "encoded", images=np.array(files[:1], object))
    change(request)
    with pytest.raises(grpc.RpcError, match=message) as raised:
        connection.send(request)
    assert raised.value.code().name == code


@pytest.mark.parametrize(
    "images, message",
    [
        (np.zeros([1, 8, 8, 3]), "images must be uint8; found float64"),
        (np.zeros([8, 8, 3], np.uint8), r"images must have the shape \[None, None, None, 3\]; found \[8, 8, 3\]"),
        (np.zeros([1, 0, 8, 3], np.uint8), r"at least one row and column; found the size\] \[0 8\]"),
        (np.zeros([65, 2, 2, 3], np.uint8), r"a request must have from 1 to 64 pictures; found\] \[65\]"),
        (np.zeros([1, 8, 8, 4], np.uint8), r"\[1,8,8,4\] is not compatible with expected shape \[\?,\?,\?,3\]"),
    ],
)
def test_a_bad_tensor_is_refused_with_what_is_needed(connection, images, message):
    with pytest.raises(grpc.RpcError, match=message) as raised:
        connection.predict("landmarks", images=images)
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_tensor_that_claims_more_than_it_holds_is_not_unpacked(connection):
    request = mutations.request(MODEL, "landmarks", images=np.zeros([1, 1, 1, 3], np.uint8))
    request.inputs["images"].tensor_shape.dim[1].size = 10**9
    assert mutations.refusal(connection, request).startswith(
        "images must have at most 4194304 bytes; found the shape [1,"
    )


@pytest.mark.parametrize(
    "field, values, found",
    [("int_val", [7], "1 in int_val"), ("int_val", [], "no values"), ("float_val", [0.5] * 12, "12 in float_val")],
)
def test_a_tensor_without_a_value_for_each_of_its_places_is_refused(connection, field, values, found):
    request = mutations.request(MODEL, "landmarks", images=np.zeros([1, 2, 2, 3], np.uint8))
    tensor = request.inputs["images"]
    tensor.ClearField("tensor_content")
    getattr(tensor, field).extend(values)
    said = f"images must hold what its shape [1, 2, 2, 3] needs; found {found}"
    assert mutations.refusal(connection, request) == said
    tensor.ClearField("float_val")
    tensor.int_val[:] = [9] * 12
    assert connection.send(request).outputs["points"].tensor_shape.dim[0].size == 1


def test_bad_pictures_fail_alone_among_requests_that_are_joined(address, model, files):
    outcomes = measured.soak(address, model, files, count=300)
    assert outcomes == {"right": 297, "refused": 3}


def test_damaged_requests_are_refused_with_a_message_or_answered_rightly(address, model, files):
    outcomes = measured.mutate(address, model, files, count=140)
    assert len(outcomes) == 14 and {sum(counted.values()) for counted in outcomes.values()} == {10}
    assert collections.Counter(outcomes["bits flipped"])["right"] > 0
    for kind, counted in outcomes.items():
        assert counted["wrong"] == 0, kind
        if "bomb" in kind:
            assert counted == {"refused": 10}, kind


def test_the_stress_notices_an_answer_that_is_wrong(address, files):
    class Other:
        @staticmethod
        def describe(images):
            return {"points": tf.zeros([1, 3, 2])}

    assert measured.soak(address, Other, files, count=20)["wrong"] == 20


def test_a_new_version_takes_over_while_requests_run_and_none_fails(address, followed, files):
    answered = measured.swap(address, followed, files)
    assert answered[1] > 0 and answered[2] >= 4
    (followed / "3").mkdir()  # holds no model, and what is served goes on
    state = get_model_status_pb2.ModelVersionStatus.State
    deadline = time.monotonic() + 60
    while states(address).get(3) != state.END and time.monotonic() < deadline:
        time.sleep(0.1)
    assert states(address) == {3: state.END, 2: state.AVAILABLE, 1: state.END}


def states(address):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = MODEL
    with grpc.insecure_channel(address) as channel:
        status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request)
    return {each.version: each.state for each in status.model_version_status}


def test_a_version_in_which_a_bit_has_turned_is_passed_over(colour_served_dir, tmp_path, capsys):
    for number in ("1", "2"):
        shutil.copytree(colour_served_dir / "1", tmp_path / number)
    path = tmp_path / "2" / "saved_model.pb"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    served = versions.Versions(tmp_path)
    served.stop()
    assert served.current.number == 1
    assert f"version 2 cannot be loaded: {tmp_path}/2: saved_model.pb is damaged; export the" in capsys.readouterr().err


@pytest.fixture
def rolled(colour_served_dir, tmp_path, monkeypatch):
    """Versions 1 and 2 of a folder of which a test says when it is looked at; they are held against their checksums."""

    class Checked:
        def __init__(self, folder):
            checksums.check(folder)
            self.number = int(pathlib.Path(folder).name)

    monkeypatch.setattr(versions, "Version", Checked)
    for number in ("1", "2"):
        shutil.copytree(colour_served_dir / "1", tmp_path / number)
    served = versions.Versions(tmp_path)
    served.stop()
    return served, tmp_path


def test_where_the_highest_version_is_removed_the_one_before_answers_again(rolled):
    served, folder = rolled
    state = get_model_status_pb2.ModelVersionStatus.State
    assert served.current.number == 2
    shutil.rmtree(folder / "2")
    served._look()
    assert served.current.number == 1 and served.states() == {1: state.AVAILABLE, 2: state.END}
    shutil.rmtree(folder / "1")
    served._look()
    assert served.current.number == 1  # there is no moment without a version


def test_a_number_that_is_used_again_is_another_version(rolled):
    served, folder = rolled
    earlier = served.current
    served._look()
    assert served.current is earlier
    shutil.copytree(folder / "1", folder / ".copied")
    shutil.rmtree(folder / "2")
    (folder / ".copied").rename(folder / "2")
    served._look()
    assert served.current.number == 2 and served.current is not earlier


def test_a_version_that_is_damaged_is_said_once_and_taken_when_it_is_copied_once_more(rolled, capsys):
    served, folder = rolled
    state = get_model_status_pb2.ModelVersionStatus.State
    shutil.copytree(folder / "1", folder / "3")
    path = folder / "3" / "saved_model.pb"
    path.write_bytes(path.read_bytes()[:-1])
    for _ in range(3):
        served._look()
        assert served.current.number == 2 and served.states()[3] == state.END
    shutil.copyfile(folder / "1" / "saved_model.pb", path)
    served._look()
    assert served.current.number == 3 and served.states()[3] == state.AVAILABLE
    assert capsys.readouterr().err.count("version 3 cannot be loaded") == 1


def test_a_version_that_is_damaged_while_it_answers_goes_on(rolled, capsys):
    served, folder = rolled
    earlier = served.current
    (folder / "2" / "saved_model.pb").write_bytes(b"")
    for _ in range(3):
        served._look()
        assert served.current is earlier
    assert capsys.readouterr().err.count("version 2 cannot be loaded") == 1


def test_a_version_that_changes_while_it_is_read_is_read_again(rolled, monkeypatch, capsys):
    served, folder = rolled
    path, whole = folder / "3" / "saved_model.pb", (folder / "1" / "saved_model.pb").read_bytes()
    shutil.copytree(folder / "1", folder / "3")
    path.write_bytes(b"")

    def copied_meanwhile(folder):
        try:
            checksums.check(folder)
        finally:
            path.write_bytes(whole)

    with monkeypatch.context() as patch:
        patch.setattr(versions, "Version", copied_meanwhile)
        served._look()
    assert served.current.number == 2 and capsys.readouterr().err == ""
    served._look()
    assert served.current.number == 3


def test_a_removed_version_gives_way_to_a_model_that_answers(colour_served_dir, tmp_path):
    for number in ("1", "2"):
        shutil.copytree(colour_served_dir / "1", tmp_path / number)
    served = versions.Versions(tmp_path, poll_seconds=0.05)
    shutil.rmtree(tmp_path / "2")
    deadline = time.monotonic() + 60
    while served.current.number == 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    served.stop()
    assert served.current.number == 1
    images = tf.zeros([1, 8, 8, 3], tf.uint8)
    assert set(served.current.signatures["landmarks"](images=images)) >= {"points", "score"}


def test_a_folder_that_cannot_be_read_for_a_while_is_followed_all_the_same(colour_served_dir, tmp_path, monkeypatch):
    shutil.copytree(colour_served_dir / "1", tmp_path / "1")
    served = versions.Versions(tmp_path, poll_seconds=0.05)
    failures, look = [True] * 3, served._look

    def fail():
        if failures:
            failures.pop()
            raise OSError(errno.ESTALE, "Stale file handle")
        look()

    monkeypatch.setattr(served, "_look", fail)
    shutil.copytree(colour_served_dir / "1", tmp_path / "begun")
    (tmp_path / "begun").rename(tmp_path / "2")
    deadline = time.monotonic() + 60
    while served.current.number == 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    served.stop()
    assert served.current.number == 2


# --- strangers ---


def test_requests_that_are_begun_and_not_sent_take_nothing_from_others(address, model, files):
    with hostile._connections(address):  # more than there are threads
        assert measured.soak(address, model, files, count=8) == {"right": 8}


@pytest.mark.parametrize("kind", [kind for kind in hostile.REQUESTS if " MB " not in kind])
def test_a_lie_is_refused_with_a_message(address, kind):
    with grpc.insecure_channel(address) as channel:
        assert hostile.refusal(channel, hostile.REQUESTS[kind]().SerializeToString()).kind == faults.REFUSED


def test_a_lie_that_is_answered_would_be_noticed(address):
    request = mutations.request(MODEL, "landmarks", images=np.zeros([1, 8, 8, 3], np.uint8))
    with grpc.insecure_channel(address) as channel:
        assert hostile.refusal(channel, request.SerializeToString()) == (faults.WRONG, "it was answered")


def test_an_output_that_is_asked_for_again_and_again_is_given_once(connection, files):
    request = mutations.request(MODEL, "encoded", images=np.array(files[:1], object))
    request.output_filter.extend(["points"] * 10**5)
    assert list(connection.send(request).outputs) == ["points"]


def test_a_message_is_short_whatever_was_sent(connection):
    request = hostile.REQUESTS["no rank"]()
    request.model_spec.name = "x" * 10**5
    with pytest.raises(grpc.RpcError, match="there is no model 'xxx") as raised:
        connection.send(request)
    assert len(raised.value.details()) == 1000


def test_a_folder_without_a_version_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no version of a SavedModel, such as .*1$"):
        versions.Versions(tmp_path)


def test_the_folder_of_a_server_may_lie_in_the_home_folder(followed, monkeypatch):
    monkeypatch.setenv("HOME", str(followed.parent))
    served = versions.Versions(f"~/{followed.name}")
    served.stop()
    assert served.current.signatures


def test_a_port_that_is_taken_is_refused(address):
    host, _, port = address.partition(":")
    with pytest.raises(ValueError, match=f"--host={host} --port={port}: cannot listen there; is the port taken?"):
        server.serve(None, MODEL, host=host, port=int(port))


@pytest.fixture
def picture(files, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(files[1])
    return str(path)


def ask(address, *paths, signature="landmarks", out):
    client.ask(paths, address=address, model=MODEL, signature=signature, out=out, timeout_s=20.0)


@pytest.mark.parametrize("signature", ["landmarks", "labels_float", "encoded", "descriptors"])
def test_the_client_prints_landmarks_and_draws(address, model, picture, tmp_path, capsys, signature):
    ask(address, picture, picture, signature=signature, out=str(tmp_path / "out" / "a.png"))
    printed = capsys.readouterr().out.splitlines()
    drawn = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    assert np.ptp(drawn) > 100 and printed[-1] == f"drawn: {tmp_path / 'out' / 'a.png'}"
    if signature in ("landmarks", "encoded"):
        pixels = tf.io.decode_png(pathlib.Path(picture).read_bytes())[tf.newaxis]
        found = model.landmarks(pixels)
        (x, y), score = (found[name][0, 0].numpy() for name in ("points", "score"))
        assert printed[0] == f"{picture}  landmark 0: {x:.2f} {y:.2f}  score {score:.3f}"
        assert len(printed) == 2 * 3 + 1


def test_the_client_draws_what_matches(address, picture, tmp_path):
    ask(address, picture, picture, signature="match_encoded", out=str(tmp_path / "out.png"))
    assert np.ptp(np.asarray(Image.open(tmp_path / "out.png"))) > 100


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        ([], {}, "no picture is named; give the files after the options"),
        (["{picture}"], {"signature": "key"}, "--signature=key: the model has descriptors, "),
        (["{picture}"], {"signature": "match"}, "--signature=match takes 2 pictures, image_a, image_b; found 1"),
        (["nowhere.png"], {}, "nowhere.png: no such file"),
        ([__file__], {}, "not a picture of a known format"),
        ([__file__], {"signature": "encoded"}, "INVALID_ARGUMENT: .*it must be a JPEG, PNG or BMP file"),
    ],
)
def test_the_client_says_what_is_wrong(address, picture, tmp_path, arguments, options, message):
    paths = [argument.format(picture=picture) for argument in arguments]
    with pytest.raises(ValueError, match=message):
        ask(address, *paths, out=str(tmp_path / "out.png"), **options)
    assert not (tmp_path / "out.png").exists()


def test_a_server_that_is_not_there_is_named(picture, tmp_path):
    with pytest.raises(ValueError, match="^localhost:1: UNAVAILABLE: "):
        ask("localhost:1", picture, out=str(tmp_path / "out.png"))


def test_the_models_file_is_what_tensorflow_serving_reads():
    text = (ROOT / "serving" / "models.config").read_text()
    (model,) = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("mine", "/models/mine", "tensorflow")
    assert dict(model.version_labels) == {"stable": 1}
    # Whatever is exported afterwards, the version that a label names stays loaded.
    assert model.model_version_policy.WhichOneof("policy_choice") == "all"
