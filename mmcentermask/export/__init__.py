"""Export to ONNX and OpenVINO. This file imports nothing: `metadata` is read where there is no torch."""
