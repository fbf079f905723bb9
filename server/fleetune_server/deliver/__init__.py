"""The only way out: signed versions, fetched and pushed."""
