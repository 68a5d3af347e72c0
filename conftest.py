"""Environment of every test and of every notebook kernel that nbval starts."""

import os

# A forgotten download fails at once instead of after retries; the quick profile is the default.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
