"""An OpenAI-compatible endpoint without a model, for trying runs out and for tests."""
