"""The actor shell: performs effects, turns each result into the next fact, decides nothing."""
