"""What the soak trades on, and how it is judged."""
