"""What is done of a run, kept so that it goes on later."""
