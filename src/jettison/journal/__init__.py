"""What each build did: the logs of its steps, its place in the history, and where its time went."""
