"""Models as files hold them: timm's, torch checkpoints and ONNX graphs, and what their settings may say."""
