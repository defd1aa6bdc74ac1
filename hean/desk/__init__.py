"""The operator's verbs: what `hean` does on the command line."""
