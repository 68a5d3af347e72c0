"""The engine: what makes training and prediction faster without changing what is learned (chapter 10)."""
