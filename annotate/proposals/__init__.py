"""Machine masks: photos are prompted, candidates ranked and stored."""
