"""Figures, text and pages of comparisons and trainings, and their place in MLflow."""
