// Runs a SavedModel without Python: with the loader that TensorFlow Serving itself uses.
//
//   loader MODEL REQUESTS ANSWERS
//
// MODEL is the folder of a version. REQUESTS is a TFRecord of tensorflow.serving.PredictionLog, as the warm-up file in
// MODEL is. ANSWERS becomes a TFRecord of tensorflow.NamedTensorProto: for each request each output of its signature,
// in the order of their names; or, where the request fails, one without a tensor whose name is what is wrong.

#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "google/protobuf/unknown_field_set.h"
#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/lib/io/record_reader.h"
#include "tensorflow/core/lib/io/record_writer.h"
#include "tensorflow/core/protobuf/named_tensor.pb.h"

namespace tf = tensorflow;

// The last string or message that a serialized message holds in a field, as protobuf reads it; empty if there is none.
std::string Field(const std::string& message, int number) {
  google::protobuf::UnknownFieldSet fields;
  std::string found;
  fields.ParseFromString(message);
  for (int i = 0; i < fields.field_count(); ++i)
    if (fields.field(i).number() == number) found = fields.field(i).length_delimited();
  return found;
}

// The entries of a map from strings to messages.
std::map<std::string, std::string> Entries(const std::string& message, int number) {
  google::protobuf::UnknownFieldSet fields;
  std::map<std::string, std::string> found;
  fields.ParseFromString(message);
  for (int i = 0; i < fields.field_count(); ++i) {
    if (fields.field(i).number() != number) continue;
    const std::string entry(fields.field(i).length_delimited());
    found[Field(entry, 1)] = Field(entry, 2);
  }
  return found;
}

tf::Status Answer(const tf::SavedModelBundle& bundle, const std::string& record, std::vector<tf::NamedTensorProto>* answers) {
  const std::string request = Field(Field(record, 6), 1);  // PredictionLog.predict_log.request
  const std::string name = Field(Field(request, 1), 3);    // model_spec.signature_name
  const auto signature = bundle.GetSignatures().find(name);
  if (signature == bundle.GetSignatures().end()) return tf::errors::InvalidArgument("there is no signature ", name);
  std::vector<std::pair<std::string, tf::Tensor>> inputs;
  for (const auto& [key, value] : Entries(request, 2)) {
    tf::TensorProto proto;
    tf::Tensor tensor;
    if (!proto.ParseFromString(value) || !tensor.FromProto(proto)) return tf::errors::InvalidArgument(key, " is no tensor");
    inputs.emplace_back(signature->second.inputs().at(key).name(), tensor);
  }
  std::vector<std::string> names;
  const std::map<std::string, tf::TensorInfo> outputs(signature->second.outputs().begin(), signature->second.outputs().end());
  for (const auto& [key, info] : outputs) names.push_back(info.name());
  std::vector<tf::Tensor> tensors;
  TF_RETURN_IF_ERROR(bundle.GetSession()->Run(inputs, names, {}, &tensors));
  for (const auto& [key, info] : outputs) {
    answers->emplace_back().set_name(key);
    tensors[answers->size() - 1].AsProtoTensorContent(answers->back().mutable_tensor());
  }
  return tf::OkStatus();
}

tf::Status Run(const std::string& model, const std::string& requests, const std::string& answers) {
  tf::SavedModelBundle bundle;
  TF_RETURN_IF_ERROR(tf::LoadSavedModel({}, {}, model, {"serve"}, &bundle));
  std::unique_ptr<tf::RandomAccessFile> in;
  std::unique_ptr<tf::WritableFile> out;
  TF_RETURN_IF_ERROR(tf::Env::Default()->NewRandomAccessFile(requests, &in));
  TF_RETURN_IF_ERROR(tf::Env::Default()->NewWritableFile(answers, &out));
  tf::io::SequentialRecordReader reader(in.get());
  tf::io::RecordWriter writer(out.get());
  tf::tstring record;
  tf::Status read;
  while ((read = reader.ReadRecord(&record)).ok()) {
    std::vector<tf::NamedTensorProto> found;
    const tf::Status answered = Answer(bundle, record, &found);
    if (!answered.ok()) found.emplace_back().set_name(answered.ToString());
    for (const auto& tensor : found) TF_RETURN_IF_ERROR(writer.WriteRecord(tensor.SerializeAsString()));
  }
  if (!tf::errors::IsOutOfRange(read)) return read;
  TF_RETURN_IF_ERROR(writer.Close());
  return out->Close();
}

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "error: give MODEL REQUESTS ANSWERS\n";
    return 2;
  }
  const tf::Status status = Run(argv[1], argv[2], argv[3]);
  if (!status.ok()) std::cerr << "error: " << status.ToString() << "\n";
  return status.ok() ? 0 : 1;
}
