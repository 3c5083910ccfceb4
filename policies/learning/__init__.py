"""Learning from logs and from counterfactual effects, and the baselines to beat."""
