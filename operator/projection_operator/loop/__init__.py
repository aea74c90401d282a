"""The loop: one queue of keys, one level-triggered pass per key."""
