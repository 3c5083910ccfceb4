"""The MLflow store: runs, registered policies and their aliases."""
