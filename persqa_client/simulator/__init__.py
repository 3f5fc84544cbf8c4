"""An OpenAI-compatible endpoint without a model, to try out runs and for tests."""
