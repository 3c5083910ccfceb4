"""What the service counts and traces about itself."""
