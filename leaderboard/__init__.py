"""The page people look at: a pure function of the set of results, and of the queue."""
