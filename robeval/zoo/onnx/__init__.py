"""Networks that an ONNX file describes whole."""
