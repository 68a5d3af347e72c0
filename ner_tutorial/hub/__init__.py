"""Plumbing: files from the Hugging Face Hub, and a finished model shared on it."""
