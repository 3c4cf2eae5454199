"""Why steps ran: what each was made of is kept for the latest builds, and compared in words."""
