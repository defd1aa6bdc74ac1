"""Frames and replies that nobody documented, and what they must not do."""
