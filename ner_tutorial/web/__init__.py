"""The page that runs a trained model in a browser: its scripts, and what packs a model for them (the page "Try it")."""
