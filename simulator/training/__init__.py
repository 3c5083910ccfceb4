"""Training in simulation: gather, learn, evaluate, again and again."""
