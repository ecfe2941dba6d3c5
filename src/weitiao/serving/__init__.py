"""Answering with a model."""
