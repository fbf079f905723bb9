"""Routes, endpoints, pages and headers: what a request meets."""
