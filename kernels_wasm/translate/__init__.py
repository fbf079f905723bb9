"""From one plain Python function to JavaScript: pure Python, which runs in the page as it runs here."""
