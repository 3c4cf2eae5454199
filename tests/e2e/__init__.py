"""The installed command as a user meets it, from the Dockerfile to the running container."""
