"""Real customers read and measured."""
