"""An OpenAI-compatible endpoint without a model, for trying things out and for tests."""
