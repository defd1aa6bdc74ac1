"""Pure decisions: no thread, socket, clock, log or database; facts in, effects out."""
